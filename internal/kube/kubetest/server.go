// Package kubetest is a small Kubernetes API in memory, for tests: it keeps
// the rules that writers trip over (resource versions, generations, immutable
// selectors, preconditions, dry runs, finalizing deletes, watches), and has as
// much of the controllers as it takes to see a rollout through. It is spoken
// to by the real client, through a RoundTripper, so it needs no network and
// works in a synctest bubble.
package kubetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/headgate-dev/headgate/internal/kube"
)

// Server is the API. Its exported fields are changed in [Server.With].
type Server struct {
	// Fate says what becomes of pods with an image; nil means [Fine].
	Fate func(image string) Fate
	// Denied says what the account may not do; nil means nothing.
	Denied func(verb, resource string) bool
	// Quiet makes the controllers of routes say no observedGeneration.
	Quiet bool
	// Groups holds the versions of API groups that can be asked for.
	Groups map[string][]string
	// Log is what every container logs.
	Log string
	// Before is called before every write with its verb and path, without the
	// server's lock, so that a test can be faster than the writer.
	Before func(verb, path string)

	mu       sync.Mutex
	objects  map[string]*unstructured.Unstructured
	version  int
	watchers []*watcher
	dropped  []dropped
	writes   []string
	kick     chan struct{}
}

// New returns a server that holds objects, written as YAML documents by
// [Objects], and access to it. Its controllers live as long as the test.
func New(t *testing.T, objects ...*unstructured.Unstructured) (*Server, *kube.Cluster) {
	t.Helper()
	s := &Server{objects: map[string]*unstructured.Unstructured{}, kick: make(chan struct{}, 1)}
	for _, u := range objects {
		s.Put(u)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.control(done) })
	t.Cleanup(func() {
		close(done)
		s.hangUp()
		wg.Wait()
	})
	rc := &rest.Config{Host: "http://kubetest", Transport: s, QPS: -1}
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	plain := dynamic.ConfigFor(rc)
	plain.APIPath, plain.GroupVersion = "/api", &schema.GroupVersion{Version: "v1"}
	raw, err := rest.RESTClientFor(plain)
	if err != nil {
		t.Fatal(err)
	}
	return s, kube.NewFrom(dyn, raw, "shop")
}

// With changes the exported fields while nothing reads them.
func (s *Server) With(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Put stores an object as somebody else's write, whatever is there.
func (s *Server) Put(u *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(place(u), u.DeepCopy())
}

// Edit changes an object as somebody else's write.
func (s *Server) Edit(resource, namespace, name string, change func(u *unstructured.Unstructured)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(resource, namespace, name)
	u := s.objects[k].DeepCopy()
	change(u)
	s.store(k, u)
}

// Get returns a copy of an object, nil if it is not there.
func (s *Server) Get(resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.objects[key(resource, namespace, name)]; u != nil {
		return u.DeepCopy()
	}
	return nil
}

// Names returns "resource/name" of all objects that are not the controllers'.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for k := range s.objects {
		res, _, name := split(k)
		if res != "pods" && res != "replicasets" && res != "endpointslices" {
			out = append(out, res+"/"+name)
		}
	}
	slices.Sort(out)
	return out
}

// Writes returns "verb resource/name" of all writes of the client so far, dry
// runs and refused ones left out.
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// RoundTrip answers a request.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if group, ok := discovered(r.URL.Path); ok {
		return s.group(r, group), nil
	}
	req, err := parse(r)
	if err != nil {
		return s.reply(r, http.StatusBadRequest, status(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())), nil
	}
	s.mu.Lock()
	log, before := s.Log, s.Before
	s.mu.Unlock()
	if req.sub == "log" {
		return text(r, log), nil
	}
	if r.Method != http.MethodGet && before != nil && req.resource != "selfsubjectaccessreviews" {
		before(r.Method, r.URL.Path)
	}
	if req.watch {
		return s.serveWatch(r, req), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code, obj := s.serve(r, req)
	return s.reply(r, code, obj), nil
}

// discovered returns the API group whose versions are asked for.
func discovered(path string) (group string, ok bool) {
	group, ok = strings.CutPrefix(path, "/apis/")
	return group, ok && !strings.Contains(group, "/")
}

// group answers which versions of a group there are.
func (s *Server) group(r *http.Request, name string) *http.Response {
	s.mu.Lock()
	versions := s.Groups[name]
	s.mu.Unlock()
	if len(versions) == 0 {
		return s.reply(r, http.StatusNotFound, status(http.StatusNotFound, metav1.StatusReasonNotFound, "there is no group "+name))
	}
	g := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
	for _, v := range versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	return s.reply(r, http.StatusOK, g)
}

// request is what a client asks for.
type request struct {
	group, version, namespace, resource, name, sub string
	watch, dryRun                                  bool
	labels                                         labels.Selector
	fields                                         fields.Selector
	body                                           []byte
}

func parse(r *http.Request) (request, error) {
	var q request
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] == "apis" {
		q.group, parts = parts[1], parts[2:]
	} else {
		parts = parts[1:]
	}
	q.version, parts = parts[0], parts[1:]
	if len(parts) > 2 && parts[0] == "namespaces" {
		q.namespace, parts = parts[1], parts[2:]
	}
	for i, p := range parts {
		switch i {
		case 0:
			q.resource = p
		case 1:
			q.name = p
		case 2:
			q.sub = p
		}
	}
	v := r.URL.Query()
	q.watch, q.dryRun = v.Get("watch") == "true", v.Get("dryRun") == "All"
	var err error
	if q.labels, err = labels.Parse(v.Get("labelSelector")); err != nil {
		return q, err
	}
	if q.fields, err = fields.ParseSelector(v.Get("fieldSelector")); err != nil {
		return q, err
	}
	if r.Body != nil {
		q.body, err = io.ReadAll(r.Body)
	}
	return q, err
}

// selects reports whether a list or watch wants an object.
func (q request) selects(k string, u *unstructured.Unstructured) bool {
	res, ns, _ := split(k)
	return res == q.resource && (q.namespace == "" || ns == q.namespace) && q.labels.Matches(labels.Set(u.GetLabels())) &&
		q.fields.Matches(fields.Set{"metadata.name": u.GetName(), "involvedObject.kind": nested(u, "involvedObject", "kind")})
}

func nested(u *unstructured.Unstructured, path ...string) string {
	v, _, _ := unstructured.NestedString(u.Object, path...)
	return v
}

func (s *Server) reply(r *http.Request, code int, obj any) *http.Response {
	b, err := json.Marshal(obj)
	if err != nil {
		panic("kubetest: " + err.Error())
	}
	return &http.Response{
		StatusCode: code, Status: fmt.Sprint(code), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b)),
	}
}

func text(r *http.Request, body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

func status(code int, reason metav1.StatusReason, message string) any {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message}
}

func key(resource, namespace, name string) string { return resource + "|" + namespace + "|" + name }

func split(k string) (resource, namespace, name string) {
	p := strings.SplitN(k, "|", 3)
	return p[0], p[1], p[2]
}

// place is the key of an object; plurals of the kinds in tests are regular.
func place(u *unstructured.Unstructured) string {
	plural := strings.ToLower(u.GetKind()) + "s"
	switch u.GetKind() {
	case "NetworkPolicy":
		plural = "networkpolicies"
	case "Ingress", "IngressClass":
		plural = strings.ToLower(u.GetKind()) + "es"
	}
	return key(plural, u.GetNamespace(), u.GetName())
}

// dropped is an object that is gone, for watches that begin before it went.
type dropped struct {
	key    string
	object *unstructured.Unstructured
}

// watcher is one open watch.
type watcher struct {
	q    request
	pipe *io.PipeWriter
	out  chan []byte
	done chan struct{}
	once sync.Once
}

func (s *Server) serveWatch(r *http.Request, q request) *http.Response {
	pr, pw := io.Pipe()
	w := &watcher{q: q, pipe: pw, out: make(chan []byte, 10000), done: make(chan struct{})}
	s.mu.Lock()
	s.watchers = append(s.watchers, w)
	// What happened between the list and now: objects that went, and those that
	// are newer than the list.
	since := r.URL.Query().Get("resourceVersion")
	for _, d := range s.dropped {
		if q.selects(d.key, d.object) && newer(d.object.GetResourceVersion(), since) {
			w.send("DELETED", d.object)
		}
	}
	for k, u := range s.objects {
		if q.selects(k, u) && newer(u.GetResourceVersion(), since) {
			w.send("MODIFIED", u)
		}
	}
	s.mu.Unlock()
	go func() {
		w.pump(r)
		s.forget(w)
	}()
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: pr,
	}
}

// forget drops a watch that has ended.
func (s *Server) forget(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = slices.DeleteFunc(s.watchers, func(o *watcher) bool { return o == w })
}

func newer(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}

// pump writes events until the client goes or the server hangs up.
func (w *watcher) pump(r *http.Request) {
	defer func() { _ = w.pipe.Close() }()
	life := time.NewTimer(time.Hour)
	defer life.Stop()
	for {
		select {
		case b := <-w.out:
			if _, err := w.pipe.Write(b); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-w.done:
			return
		case <-life.C:
			return
		}
	}
}

func (w *watcher) send(kind string, u *unstructured.Unstructured) {
	b, err := json.Marshal(map[string]any{"type": kind, "object": u.Object})
	if err != nil {
		panic("kubetest: " + err.Error())
	}
	select {
	case w.out <- append(b, '\n'):
	default:
		panic("kubetest: a watch is not read")
	}
}

// hangUp ends all watches.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		w.once.Do(func() { close(w.done) })
	}
	s.watchers = nil
}
