package main

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
	"time"
)

const gatewayGroup = "gateway.networking.k8s.io"

// api speaks to the cluster's API server. A handful of requests do not call
// for client-go, and this module stays without requirements.
type api struct {
	http  *http.Client
	token string
}

func (c *cluster) api() (*api, error) {
	authority, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reach API server: %w", err)
	}
	token, err := os.ReadFile(c.path("pki", "token"))
	if err != nil {
		return nil, fmt.Errorf("reach API server: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &api{
		http: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		},
		token: string(token),
	}, nil
}

// get reads an object into the value given.
func (a *api) get(ctx context.Context, path string, into any) error {
	body, err := a.request(ctx, http.MethodGet, "https://"+apiAddress+path, "", nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// apply creates the object at path, or changes it, to be what the YAML says.
func (a *api) apply(ctx context.Context, path string, yaml []byte) error {
	url := "https://" + apiAddress + path + "?fieldManager=headgate-test&force=true"
	_, err := a.request(ctx, http.MethodPatch, url, "application/apply-patch+yaml", yaml)
	return err
}

func (a *api) request(ctx context.Context, method, url, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err // Says itself what it was asked.
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, answer)
	}
	return answer, nil
}

// condition is the part that all kinds' conditions have in common.
type condition struct{ Type, Status, Reason, Message string }

// conditionTrue returns an error that tells the condition unless it is True.
func conditionTrue(conditions []condition, kind string) error {
	for _, c := range conditions {
		if c.Type != kind {
			continue
		}
		if c.Status == "True" {
			return nil
		}
		return fmt.Errorf("condition %s is %s: %s %s", kind, c.Status, c.Reason, c.Message)
	}
	return fmt.Errorf("no condition %s", kind)
}

// withStatus is any object as far as its conditions go.
type withStatus struct {
	Status struct{ Conditions []condition }
}

// objectIs waits for nothing: it says whether the object's condition is True.
func (a *api) objectIs(ctx context.Context, path, kind string) error {
	var object withStatus
	if err := a.get(ctx, path, &object); err != nil {
		return err
	}
	if err := conditionTrue(object.Status.Conditions, kind); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
