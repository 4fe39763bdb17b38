package pods

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxBody is how much of an answer is read, in bytes, as by the kubelet.
const maxBody = 10 << 10

// userAgent begins as the kubelet's does, which services know from their logs.
const userAgent = "kube-probe/1.37 (headgate local)"

// get makes an HTTP request; a status from 200 to 399 is well.
func (c *container) get(ctx context.Context, a *corev1.HTTPGetAction) error {
	address, err := c.address(a.Host, a.Port)
	if err != nil {
		return err
	}
	target, err := url.Parse(a.Path)
	if err != nil {
		target = &url.URL{Path: a.Path}
	}
	target.Scheme, target.Host = "http", address
	if a.Scheme == corev1.URISchemeHTTPS {
		target.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	setHeaders(req, a.HTTPHeaders)
	var protocols *http.Protocols
	if a.Protocol != nil && *a.Protocol == corev1.HTTPProtocolHTTP2 {
		protocols = new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
	}
	client := probeClient(protocols)
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return fmt.Errorf("GET %s: %w", target, plainly(ctx, err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return fmt.Errorf("GET %s: read answer: %w", target, plainly(ctx, err))
	case resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusBadRequest:
		return nil
	}
	text := resp.Status
	if line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(body), "\uFFFD")), "\n"); line != "" {
		text += ": " + short(line)
	}
	return fmt.Errorf("GET %s: %s", target, text)
}

func setHeaders(req *http.Request, all []corev1.HTTPHeader) {
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	given := map[string]bool{}
	for _, h := range all {
		key := http.CanonicalHeaderKey(h.Name)
		switch {
		case key == "Host":
			req.Host = h.Value
		case given[key]:
			req.Header.Add(key, h.Value)
		default: // the first takes the place of ours
			given[key] = true
			req.Header.Set(key, h.Value)
		}
	}
}

// probeClient makes a client for one request: no connection is kept, no
// certificate checked, no proxy asked, and a redirect followed to the same
// host only; one to another host is an answer. Without protocols it speaks
// HTTP/1.1.
func probeClient(protocols *http.Protocols) *http.Client {
	transport := &http.Transport{
		Protocols: protocols, DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as probes do
	}
	return &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		switch {
		case req.URL.Hostname() != via[0].URL.Hostname():
			return http.ErrUseLastResponse
		case len(via) >= 10:
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}}
}
