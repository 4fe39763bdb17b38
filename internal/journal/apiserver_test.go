package journal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// apiServer is as much of a Kubernetes API server as a journal needs, with
// what matters here as the real one has it: resource versions as
// preconditions, its own clock, limits of size, dry run. It is reached
// without a network, so that it works in virtual time.
type apiServer struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	version int
	// full makes it refuse all that grows.
	full bool
	// skew is what its clock is ahead.
	skew time.Duration
	// calls counts requests by "METHOD resource".
	calls map[string]int
}

func newAPIServer() *apiServer {
	return &apiServer{objects: map[string]*unstructured.Unstructured{}, calls: map[string]int{}}
}

// line is one client's way to the server, which can be faulty.
type line struct {
	server *apiServer
	mu     sync.Mutex
	// fate decides about a request: ok to let it through, cut to lose it,
	// deaf to lose the answer. Nil lets all through.
	fate func(r *http.Request) fate
}

type fate int

const (
	ok fate = iota
	cut
	deaf
)

func (l *line) set(f func(r *http.Request) fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate = f
}

// RoundTrip calls the server.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	f := ok
	if l.fate != nil {
		f = l.fate(r)
	}
	l.mu.Unlock()
	if f == cut {
		return nil, errors.New("connection refused")
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	code, answer := l.server.handle(r, body)
	if f == deaf {
		return nil, errors.New("connection reset by peer")
	}
	b, _ := json.Marshal(answer)
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b)),
	}, nil
}

// client returns a dynamic client on the line.
func (l *line) client(t *testing.T) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(&rest.Config{Host: "http://api", Transport: l, QPS: -1})
	must(t, err)
	return c
}

func refuse(code int, reason, message string) (int, any) {
	return code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
}

func (s *apiServer) handle(r *http.Request, body []byte) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	at := 0
	for parts[at] != "namespaces" {
		at++
	}
	resource, name := parts[at+2], ""
	if len(parts) > at+3 {
		name = parts[at+3]
	}
	s.calls[r.Method+" "+resource]++
	u := &unstructured.Unstructured{}
	if len(body) > 0 && r.Method != http.MethodDelete {
		if err := json.Unmarshal(body, &u.Object); err != nil {
			return refuse(400, "BadRequest", err.Error())
		}
		name = u.GetName()
	}
	key := resource + "/" + name
	old := s.objects[key]
	switch {
	case name == "":
		return refuse(403, "Forbidden", r.Method+" of all "+resource+" is not allowed")
	case r.Method == http.MethodPost && old != nil:
		return refuse(409, "AlreadyExists", key+" already exists")
	case r.Method != http.MethodPost && old == nil:
		return refuse(404, "NotFound", key+" not found")
	case r.Method == http.MethodGet:
		return 200, old.Object
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		return 200, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"}
	case old != nil && u.GetResourceVersion() != "" && u.GetResourceVersion() != old.GetResourceVersion():
		return refuse(409, "Conflict", "the object has been modified")
	}
	if dataSize(u) > 1<<20 {
		return refuse(422, "Invalid", "data: Too long: may not be more than 1048576 bytes")
	}
	if s.full && resource == "secrets" && (old == nil || dataSize(u) > dataSize(old)) {
		return refuse(403, "Forbidden", "exceeded quota")
	}
	return s.store(key, r, old, u)
}

func (s *apiServer) store(key string, r *http.Request, old, u *unstructured.Unstructured) (int, any) {
	now := time.Now().Add(s.skew).UTC().Format(time.RFC3339)
	created := now
	if old != nil {
		created = old.Object["metadata"].(map[string]any)["creationTimestamp"].(string)
	}
	meta := u.Object["metadata"].(map[string]any)
	meta["creationTimestamp"] = created
	meta["managedFields"] = []any{map[string]any{"manager": "headgate", "operation": "Update", "time": now}}
	if r.URL.Query().Get("dryRun") == "All" {
		return 201, u.Object
	}
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[key] = u
	return 200, u.Object
}

func dataSize(u *unstructured.Unstructured) int {
	data, _, _ := unstructured.NestedStringMap(u.Object, "data")
	n := 0
	for _, v := range data {
		b, _ := base64.StdEncoding.DecodeString(v)
		n += len(b)
	}
	return n
}

// object returns a copy of what is stored, nil if nothing is.
func (s *apiServer) object(key string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] == nil {
		return nil
	}
	return s.objects[key].DeepCopy()
}

// edit changes an object as somebody with kubectl does.
func (s *apiServer) edit(t *testing.T, key string, change func(u *unstructured.Unstructured)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] == nil {
		t.Fatalf("no object %s among %v", key, s.objects)
	}
	u := s.objects[key].DeepCopy()
	change(u)
	s.version++
	u.SetResourceVersion(fmt.Sprint(s.version))
	s.objects[key] = u
}
