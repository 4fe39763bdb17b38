package prom

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Config says where Prometheus is and how to be let in. The zero value of
// every field but URL means that the thing is not used.
type Config struct {
	URL string
	// Username and Password are for HTTP basic authentication; those in URL
	// are used when both are empty.
	Username, Password string
	// BearerToken is sent in the header Authorization.
	BearerToken string
	// CAFile is a PEM file with the authorities to trust in place of the
	// system's.
	CAFile string
	// Headers are sent with every query, such as X-Scope-OrgID.
	Headers map[string]string
	// Timeout bounds one try; 0 means [DefaultTimeout].
	Timeout time.Duration
	// Transport sends the requests; nil means HTTP.
	Transport http.RoundTripper
}

// transport adds credentials to requests and bounds replies.
type transport struct {
	base    http.RoundTripper
	url     *url.URL
	config  Config
	maxBody int64
}

// transport also moves the credentials of the URL out of it.
func (c Config) transport(u *url.URL) (*transport, error) {
	if c.Username == "" && c.Password == "" && u.User != nil {
		c.Username = u.User.Username()
		c.Password, _ = u.User.Password()
	}
	u.User = nil
	if c.Username != "" && c.BearerToken != "" {
		return nil, errors.New("use prometheus: both basic authentication and a bearer token are given")
	}
	base := c.Transport
	if base == nil {
		t := &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       90 * time.Second,
			ForceAttemptHTTP2:     true,
			ResponseHeaderTimeout: time.Minute,
		}
		if c.CAFile != "" {
			pool, err := readCA(c.CAFile)
			if err != nil {
				return nil, err
			}
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
		base = t
	}
	return &transport{base: base, url: u, config: c, maxBody: MaxReply}, nil
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read prometheus ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read prometheus ca: %s holds no PEM certificate", path)
	}
	return pool, nil
}

// RoundTrip sends one request. Credentials go to the configured host alone,
// so that a redirect cannot carry them away.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.URL.Host == t.url.Host && req.URL.Scheme == t.url.Scheme {
		for k, v := range t.config.Headers {
			req.Header.Set(k, v)
		}
		switch {
		case t.config.BearerToken != "":
			req.Header.Set("Authorization", "Bearer "+t.config.BearerToken)
		case t.config.Username != "" || t.config.Password != "":
			req.SetBasicAuth(t.config.Username, t.config.Password)
		}
	}
	req.Header.Set("User-Agent", "headgate")
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if s, ok := req.Context().Value(statusKey{}).(*status); ok {
		s.code = resp.StatusCode
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: t.maxBody}
	return resp, nil
}

func (t *transport) closeIdle() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// sameHost follows redirects inside the host only.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	if first := via[0].URL; req.URL.Host != first.Host {
		return fmt.Errorf("it redirects to another host, %s", req.URL.Host)
	}
	return nil
}

// status notes the HTTP status, which the library's errors do not tell.
type status struct{ code int }

type statusKey struct{}

func withStatus(ctx context.Context, s *status) context.Context {
	return context.WithValue(ctx, statusKey{}, s)
}

var errTooLarge = errors.New("reply too large")

// boundedBody is a body that breaks off with an error, in place of looking
// complete, when it is longer than it may be.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// parseURL reads the address; its errors do not repeat it, since it may hold
// a password.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("use prometheus url: it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("use prometheus url: it must begin with http:// or https:// and name a host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("use prometheus url: it may have no ?query and no #fragment")
	}
	return u, nil
}
