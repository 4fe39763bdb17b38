package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	ours "github.com/headgate-dev/headgate/internal/registry"
)

// serve starts a registry in which shop/user:v1 is, and returns its address
// and the image's digest. The wrapper, if any, stands before it.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) (host, digest string) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	on := atomic.Bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wrap != nil && on.Load() {
			wrap(inner).ServeHTTP(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/shop/user:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	return host, hash.String()
}

func client() *ours.Client {
	return &ours.Client{Timeout: 5 * time.Second, Pause: time.Millisecond, Keychain: authn.NewMultiKeychain()}
}

func TestResolve(t *testing.T) {
	host, digest := serve(t, nil)
	want := host + "/shop/user@" + digest
	for _, image := range []string{host + "/shop/user:v1", want, host + "/shop/user:v1@" + digest} {
		got, err := client().Resolve(t.Context(), image)
		if err != nil || got != want {
			t.Errorf("resolve %s: got %q, %v, want %q", image, got, err, want)
		}
	}
}

func TestResolveWithoutHead(t *testing.T) {
	host, digest := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	got, err := client().Resolve(t.Context(), host+"/shop/user:v1")
	if err != nil || !strings.HasSuffix(got, digest) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestResolveTriesAgain(t *testing.T) {
	var n atomic.Int32
	host, _ := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "manifests") && n.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if _, err := client().Resolve(t.Context(), host+"/shop/user:v1"); err != nil {
		t.Errorf("after two answers 503: %v", err)
	}
}

func TestResolveErrors(t *testing.T) {
	host, digest := serve(t, nil)
	other := "sha256:" + strings.Repeat("0", 64)
	tests := []struct{ name, image, want, hint string }{
		{"unknown tag", host + "/shop/user:v2", "MANIFEST_UNKNOWN: Unknown manifest (404 Not Found)", "check name and tag"},
		{"unknown name", host + "/shop/none:v1", "NAME_UNKNOWN: Unknown name (404 Not Found)", "check name and tag"},
		{"unknown digest", host + "/shop/user@" + other, "MANIFEST_UNKNOWN: Unknown manifest (404 Not Found)", "check name and tag"},
		{"nobody there", "localhost:1/shop/user:v1", "connection refused", ""},
		{"no name", "Shop/User", `find image: "Shop/User" is not the name of an image`, ""},
		{"empty", "", `is not the name of an image`, ""},
	}
	_ = digest
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client().Resolve(t.Context(), tt.image)
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Fatalf("got %v, want …%s", err, tt.want)
			}
			e, ok := errors.AsType[*ours.Error](err)
			if tt.hint != "" && (!ok || !strings.Contains(e.Hint(), tt.hint)) {
				t.Errorf("hint: got %v, want %s", err, tt.hint)
			}
		})
	}
}

// TestErrorsHoldNoCredentials has a registry that refuses them, and one whose
// connection breaks.
func TestErrorsHoldNoCredentials(t *testing.T) {
	host, _ := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token?key=t0psecret",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		})
	})
	c := client()
	c.Keychain = keychain{}
	_, err := c.Resolve(t.Context(), host+"/shop/user:v1")
	if err == nil || strings.Contains(err.Error(), "t0psecret") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without credentials", err)
	}
	if e, ok := errors.AsType[*ours.Error](err); !ok || !strings.Contains(e.Hint(), "log in") || !strings.Contains(e.Reason, "UNAUTHORIZED") {
		t.Errorf("got %v, want the registry's reason and a hint to log in", err)
	}
}

type keychain struct{}

func (keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "me", Password: "hunter2"}, nil
}

type hanging struct{ until chan struct{} }

func (h hanging) Resolve(authn.Resource) (authn.Authenticator, error) {
	<-h.until
	return authn.Anonymous, nil
}

func TestResolveHasADeadline(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	host, _ := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		})
	})
	for name, keys := range map[string]authn.Keychain{"registry": authn.NewMultiKeychain(), "credential helper": hanging{stop}} {
		c := client()
		c.Timeout, c.Keychain = 100*time.Millisecond, keys
		start := time.Now()
		if _, err := c.Resolve(t.Context(), host+"/shop/user:v1"); err == nil || time.Since(start) > 2*time.Second {
			t.Errorf("%s that hangs: got %v after %s", name, err, time.Since(start))
		}
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := client().Resolve(ctx, host+"/shop/user:v1"); !errors.Is(err, why) {
		t.Errorf("ended context: got %v, want its cause", err)
	}
}
