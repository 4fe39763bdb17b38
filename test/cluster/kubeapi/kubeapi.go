// Package kubeapi speaks to an API server of Kubernetes. The handful of
// requests that a test cluster takes to start do not call for client-go.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 16 << 20
)

// A Client speaks to one API server.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// New returns a client of the server at a URL, whose certificate the authority
// in one file has signed and who knows us by the token in another.
func New(server, authorityFile, tokenFile string) (*Client, error) {
	authority, err := os.ReadFile(authorityFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("read certificate authority: no certificate in %s", authorityFile)
	}
	return &Client{
		server: strings.TrimSuffix(server, "/"),
		token:  strings.TrimSpace(string(token)),
		http:   &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
	}, nil
}

// Get reads the object at a path into a value.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	body, err := c.request(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Exists returns nil if the server answers for the path with success,
// whatever it says.
func (c *Client) Exists(ctx context.Context, path string) error {
	_, err := c.request(ctx, http.MethodGet, path, "", nil)
	return err
}

// Apply creates the object at a path, or changes it, to be what the YAML says.
func (c *Client) Apply(ctx context.Context, path string, yaml []byte) error {
	_, err := c.request(ctx, http.MethodPatch, path+"?fieldManager=headgate-test&force=true", "application/apply-patch+yaml", yaml)
	return err
}

func (c *Client) request(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}

// send returns the answer if it is one of success; its body is still to be read.
func (c *Client) send(ctx context.Context, method, path, contentType string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err // Says itself what was asked of whom.
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(reason))
	}
	return resp, nil
}
