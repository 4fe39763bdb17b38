//go:build unix

package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate-dev/headgate/internal/kube/kubetest"
)

// A job reaches the cluster by its own token, through the example's
// kubeconfig, and no token is in the log.
func TestJobsReachTheClusterByTheirOIDCToken(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvOmFjbWUvc2hvcCJ9.c2lnbmF0dXJl"
	var issued atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer request-token" || r.URL.Query().Get("audience") != "kubernetes" || r.URL.Query().Get("v") != "1" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		issued.Add(1)
		fmt.Fprintf(w, `{"count":1,"value":"%s"}`, token)
	}))
	t.Cleanup(issuer.Close)
	world, _ := kubetest.New(t, kubetest.Objects(t, strings.ReplaceAll(shop, "IMAGE1", "r.example/user:1"))...)
	var strangers atomic.Int64
	api := &slowAPI{Server: world}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			strangers.Add(1)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	c := newCheckout(t)
	for name, mode := range map[string]os.FileMode{"kubeconfig": 0o644, "kube-token": 0o755} {
		text, err := os.ReadFile(filepath.Join("../../examples/github-actions", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(text), "https://production.example.com:6443", server.URL)
		changed = strings.Replace(changed, "# certificate-authority-data: the base64 of the cluster's own certificate", "certificate-authority-data: "+authority, 1)
		if err := os.WriteFile(filepath.Join(c.dir, "deploy", name), []byte(changed), mode); err != nil {
			t.Fatal(err)
		}
	}
	pipeline := "version: 1\nname: shop\nkubernetes: {namespace: shop}\nstages:\n  - name: rollout\n    canary: {deployment: user, image: IMAGE, traffic: {httpRoute: user}, steps: [{setWeight: 50%}]}\n"
	pipeline = strings.Replace(pipeline, "IMAGE", "r.example/user@sha256:"+strings.Repeat("2", 64), 1)
	if err := os.WriteFile(filepath.Join(c.dir, "deploy", "headgate.yaml"), []byte(pipeline), 0o644); err != nil {
		t.Fatal(err)
	}
	log := c.run(t, "headgate status deploy/headgate.yaml --kubeconfig deploy/kubeconfig",
		"ACTIONS_ID_TOKEN_REQUEST_URL="+issuer.URL+"/?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token")
	if issued.Load() != 1 || strangers.Load() != 0 {
		t.Errorf("%d tokens were issued and %d requests came without one, want 1 and 0\n%s", issued.Load(), strangers.Load(), log)
	}
	if strings.Contains(log, token) {
		t.Errorf("the token is in the log:\n%s", log)
	}
	if out := c.run(t, "! deploy/kube-token kubernetes"); !strings.Contains(out, "id-token: write") {
		t.Errorf("without the permission it says\n%s", out)
	}
}
