package kubeapi_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/test/cluster/kubeapi"
)

func TestApplySendsTheObjectAsItIs(t *testing.T) {
	var got string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("Authorization") + " " + string(body)
	})
	if err := client.Apply(t.Context(), "/api/v1/namespaces/a", []byte("kind: Namespace")); err != nil {
		t.Fatal(err)
	}
	const want = "PATCH /api/v1/namespaces/a?fieldManager=headgate-test&force=true application/apply-patch+yaml Bearer s3cret kind: Namespace"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorsTellWhatTheServerSaid(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such kind", http.StatusNotFound) })
	err := client.Exists(t.Context(), "/apis/x")
	if err == nil || !strings.Contains(err.Error(), "no such kind") || !strings.Contains(err.Error(), "/apis/x") {
		t.Errorf("got %v, want the path and the answer", err)
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want no token in it", err)
	}
}

func TestIsReadsOneCondition(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":{"conditions":[{"type":"Accepted","status":"True"},{"type":"Programmed","status":"Unknown","reason":"Pending"}]}}`)
	})
	if err := client.Is(t.Context(), "/gateway", "Accepted"); err != nil {
		t.Errorf("Accepted: got %v, want it true", err)
	}
	for condition, want := range map[string]string{"Programmed": "Pending", "Ready": "no condition Ready"} {
		if err := client.Is(t.Context(), "/gateway", condition); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", condition, err, want)
		}
	}
}

func TestWatchPodsFollowsChanges(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("watch") {
			fmt.Fprint(w, `{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"uid":"a"}}]}`)
			return
		}
		if got := r.URL.Query().Get("resourceVersion"); got != "7" {
			t.Errorf("got a watch from version %q, want 7", got)
		}
		fmt.Fprint(w, `{"type":"ADDED","object":{"metadata":{"uid":"b"}}}
{"type":"DELETED","object":{"metadata":{"uid":"a"}}}
{"type":"ERROR","object":{"kind":"Status","code":410}}
`)
	})
	var got []string
	err := client.WatchPods(t.Context(), func(pods map[string]kubeapi.Pod) error {
		got = append(got, strings.Join(slices.Sorted(maps.Keys(pods)), "+"))
		return nil
	})
	if want := []string{"a", "a+b", "b"}; !slices.Equal(got, want) {
		t.Errorf("got pods %v, want %v", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "ERROR") {
		t.Errorf("got %v, want the error that ended the watch", err)
	}
}

func TestWatchPodsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("watch") {
			fmt.Fprint(w, `{}`)
			return
		}
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	err := client.WatchPods(ctx, func(map[string]kubeapi.Pod) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// serve returns a client of a server that answers so.
func serve(t *testing.T, handler http.HandlerFunc) *kubeapi.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": authority, "token": []byte("s3cret\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kubeapi.New(server.URL, filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}
