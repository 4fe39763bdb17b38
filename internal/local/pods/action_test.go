package pods

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// at is a container whose port 80, named http, is that of a server.
func at(server *httptest.Server) *container {
	return &container{Container: Container{
		Spec:      corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}},
		Addresses: map[int32]string{80: server.Listener.Addr().String()},
	}}
}

// checkAnswer compares an error, in which ADDRESS stands for the server's.
func checkAnswer(t *testing.T, server *httptest.Server, err error, want string) {
	t.Helper()
	got := "<nil>"
	if err != nil {
		got = strings.ReplaceAll(err.Error(), server.Listener.Addr().String(), "ADDRESS")
	}
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestHTTPGet(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code := 0
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, "first line\n%s", strings.Repeat("more\n", 10000))
	})
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.FormValue("to"), http.StatusFound)
	})
	mux.HandleFunc("/seen", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("%s %s %q %s", r.Host, r.Proto, r.Header["X-A"], r.Header.Get("User-Agent")), http.StatusTeapot)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	plain := httptest.NewUnstartedServer(mux)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	closed := httptest.NewServer(mux)
	closed.Close()
	port := intstr.FromString("http")
	h2 := corev1.HTTPProtocolHTTP2
	headers := []corev1.HTTPHeader{{Name: "Host", Value: "shop.example"}, {Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}}
	tests := []struct {
		name   string
		server *httptest.Server
		get    corev1.HTTPGetAction
		want   string
	}{
		{"well", plain, corev1.HTTPGetAction{Port: port, Path: "/status/204"}, "<nil>"},
		{"by number, on localhost", plain, corev1.HTTPGetAction{Port: intstr.FromInt32(80), Host: "localhost", Path: "/status/200"}, "<nil>"},
		{"an odd status is well", plain, corev1.HTTPGetAction{Port: port, Path: "/status/399"}, "<nil>"},
		{"an error", plain, corev1.HTTPGetAction{Port: port, Path: "/status/500?x=1"}, "GET http://ADDRESS/status/500?x=1: 500 Internal Server Error: first line"},
		{"a redirect to itself", plain, corev1.HTTPGetAction{Port: port, Path: "/redirect?to=/status/400"}, "GET http://ADDRESS/redirect?to=/status/400: 400 Bad Request: first line"},
		{"a redirect to others", plain, corev1.HTTPGetAction{Port: port, Path: "/redirect?to=http://example.com"}, "<nil>"},
		{"redirects for ever", plain, corev1.HTTPGetAction{Port: port, Path: "/circle"}, "GET http://ADDRESS/circle: stopped after 10 redirects"},
		{"headers", plain, corev1.HTTPGetAction{Port: port, Path: "/seen", HTTPHeaders: headers}, `GET http://ADDRESS/seen: 418 I'm a teapot: shop.example HTTP/1.1 ["1" "2"] kube-probe/1.37 (headgate local)`},
		{"another user agent", plain, corev1.HTTPGetAction{Port: port, Path: "/seen", HTTPHeaders: []corev1.HTTPHeader{{Name: "User-Agent", Value: "me"}}}, `GET http://ADDRESS/seen: 418 I'm a teapot: ADDRESS HTTP/1.1 [] me`},
		{"HTTP/2", plain, corev1.HTTPGetAction{Port: port, Path: "/seen", Protocol: &h2}, `GET http://ADDRESS/seen: 418 I'm a teapot: ADDRESS HTTP/2.0 [] kube-probe/1.37 (headgate local)`},
		{"HTTPS", secure, corev1.HTTPGetAction{Port: port, Scheme: corev1.URISchemeHTTPS, Path: "/status/200"}, "<nil>"},
		{"HTTPS where there is none", plain, corev1.HTTPGetAction{Port: port, Scheme: corev1.URISchemeHTTPS, Path: "/"}, "GET https://ADDRESS/: http: server gave HTTP response to HTTPS client"},
		{"too slow", plain, corev1.HTTPGetAction{Port: port, Path: "/slow"}, "GET http://ADDRESS/slow: no answer within 300ms"},
		{"nobody there", closed, corev1.HTTPGetAction{Port: port, Path: "/"}, "GET http://ADDRESS/: connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("no answer within 300ms"))
			defer cancel()
			checkAnswer(t, tt.server, at(tt.server).get(ctx, &tt.get), tt.want)
		})
	}
}

func TestTCPSocket(t *testing.T) {
	server := httptest.NewServer(nil)
	c := at(server)
	action := &corev1.TCPSocketAction{Port: intstr.FromString("80")}
	checkAnswer(t, server, c.connect(t.Context(), action), "<nil>")
	server.Close()
	checkAnswer(t, server, c.connect(t.Context(), action), "connect to ADDRESS: connection refused")
}

// grpcHealth answers as a gRPC server does.
func grpcHealth(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || r.Header.Get("Content-Type") != "application/grpc" || r.URL.Path != "/grpc.health.v1.Health/Check" {
		http.Error(w, "no", http.StatusNotFound)
		return
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	service := ""
	if frame := body.Bytes(); len(frame) > 7 && int(frame[6]) == len(frame)-7 {
		service = string(frame[7:])
	}
	w.Header().Set("Content-Type", "application/grpc")
	answer, ok := map[string][]byte{"": {1 << 3, 1}, "down": {1 << 3, 2}, "strange": {1 << 3, 3}, "empty": {}, "broken": {9}}[service]
	if !ok { // an answer without a body has its status in front
		w.Header().Set("Grpc-Status", map[bool]string{true: "12", false: "5"}[service == "none"])
		w.Header().Set("Grpc-Message", "unknown service")
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(answer))), answer...))
	w.Header().Set("Grpc-Status", "0")
}

func TestGRPC(t *testing.T) {
	plain := httptest.NewUnstartedServer(http.HandlerFunc(grpcHealth))
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(grpcHealth))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	tls := corev1.GRPCProbeModeTLS
	tests := []struct {
		name    string
		server  *httptest.Server
		service string
		mode    *corev1.GRPCProbeMode
		want    string
	}{
		{"well", plain, "", nil, "<nil>"},
		{"by TLS", secure, "", &tls, "<nil>"},
		{"not serving", plain, "down", nil, "gRPC health of ADDRESS: NOT_SERVING"},
		{"unknown to itself", plain, "strange", nil, "gRPC health of ADDRESS: SERVICE_UNKNOWN"},
		{"no status", plain, "empty", nil, "gRPC health of ADDRESS: status 0"},
		{"no message", plain, "broken", nil, "gRPC health of ADDRESS: the answer is no health status"},
		{"unknown", plain, "other", nil, `gRPC health of ADDRESS: status "5" unknown service`},
		{"no health service", plain, "none", nil, "gRPC health of ADDRESS: the program has no service grpc.health.v1.Health"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := at(tt.server).askGRPC(t.Context(), &corev1.GRPCAction{Port: 80, Service: &tt.service, Mode: tt.mode})
			checkAnswer(t, tt.server, err, tt.want)
		})
	}
	if err := at(old).askGRPC(t.Context(), &corev1.GRPCAction{Port: 80}); err == nil {
		t.Error("a server without HTTP/2 is taken for healthy")
	}
}

func TestAnAddressThatIsNotHere(t *testing.T) {
	c := &container{}
	if got, err := c.address("db.example", intstr.FromInt32(5432)); err != nil || got != "db.example:5432" {
		t.Errorf("got %s, %v", got, err)
	}
}

// FuzzHealthOf: whatever a server sends, only the one status is well.
func FuzzHealthOf(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 4, 8, 1, 8, 2})
	f.Add([]byte{1, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 2, 8})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if healthOf(frame) == nil && (len(frame) < 7 || frame[0] != 0 || frame[5] != 8) {
			t.Errorf("%x is taken for healthy", frame)
		}
	})
}
