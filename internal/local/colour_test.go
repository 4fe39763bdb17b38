package local_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

func word(s string) source.String {
	return source.String{Value: s, Pos: source.Pos{Line: 1, Col: 1}}
}

// colours are two Deployments of the workload user, green of which is not
// there at first.
func colours(greenNamespace string) (blue, green stages.Track) {
	there := stages.Workload{Namespace: greenNamespace, Name: "user-green"}
	blue = stages.Track{Workload: workload("user"), Name: stages.Blue, Peer: there}
	green = stages.Track{Workload: there, Name: stages.Green, Peer: workload("user")}
	return blue, green
}

// bringUp gives green the release 2.
func bringUp(t *testing.T, w *local.World, green stages.Track) stages.Release {
	t.Helper()
	r := stages.Release{Image: image(t, w, "r.example/user:2"), Run: info("1")}
	if err := w.SetTrack(t.Context(), green, r, 2); err != nil {
		t.Fatal(err)
	}
	ready(t, w, green, 2)
	return r
}

func route(t *testing.T, w *local.World, traffic stages.Traffic, old, next stages.Track) stages.Router {
	t.Helper()
	r, err := w.Router(traffic, stages.Split{Old: old, New: next})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServiceSwitchConforms(t *testing.T) {
	build := func(t *testing.T) portstest.ColoursFixture {
		t.Parallel()
		w := open(t, options(t))
		deploy(t, w, "user", 1)
		blue, green := colours("shop")
		r := stages.Release{Image: image(t, w, "r.example/user:2"), Run: info("1")}
		if err := w.SetTrack(t.Context(), green, r, 0); err != nil {
			t.Fatal(err)
		}
		traffic := stages.Traffic{Service: word("user")}
		return portstest.ColoursFixture{
			RouterFixture: portstest.RouterFixture{
				Router: route(t, w, traffic, blue, green),
				State:  func(*testing.T) string { return local.ServiceText(w, "shop", "user") },
				SetByOther: func(t *testing.T, _ float64) {
					if err := local.Reselect(w, "shop", "user", map[string]string{"app": "maintenance"}); err != nil {
						t.Fatal(err)
					}
				},
				EditByOther: func(t *testing.T) {
					if err := local.Annotate(w, "shop", "user", "owner", "us"); err != nil {
						t.Fatal(err)
					}
				},
				RemoveCanary: func(t *testing.T) {
					if err := w.RemoveTrack(t.Context(), green, true); err != nil {
						t.Fatal(err)
					}
				},
				AllOrNothing: true, Patience: 30 * time.Second,
			},
			Back: func(t *testing.T) stages.Router { return route(t, w, traffic, green, blue) },
		}
	}
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return build(t).RouterFixture })
	portstest.RouterColours(t, build)
}

// asking asks without pause until its end and says who answered; what is not
// an answer of a pod is counted as failed.
type asking struct {
	stop   chan struct{}
	ended  sync.WaitGroup
	failed atomic.Int64
	seen   sync.Map
}

func startAsking(t *testing.T, w *local.World, host string) *asking {
	t.Helper()
	a := &asking{stop: make(chan struct{})}
	for range 4 {
		a.ended.Go(func() {
			for {
				select {
				case <-a.stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				text, err := answer(t, w, host)
				if err != nil {
					a.failed.Add(1)
				}
				a.seen.Store(text, true)
			}
		})
	}
	return a
}

func answer(t *testing.T, w *local.World, host string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.ProxyURL()+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	n, _ := resp.Body.Read(b)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("answered %s", resp.Status)
	}
	return string(b[:n]), nil
}

// done ends it and fails the test when a request has failed.
func (a *asking) done(t *testing.T) {
	t.Helper()
	close(a.stop)
	a.ended.Wait()
	if n := a.failed.Load(); n > 0 {
		t.Errorf("%d requests failed", n)
	}
}

// withoutRoute are the manifests of user but for the HTTPRoute.
func withoutRoute(t *testing.T) []json.RawMessage {
	t.Helper()
	all := manifestsOf(t, "user")
	return all[:len(all)-1]
}

// existing is a world in which user is there before any run.
func existing(t *testing.T, objects []json.RawMessage) (local.Options, *local.World) {
	t.Helper()
	o := options(t)
	o.Manifests = objects
	w := open(t, o)
	ready(t, w, track("user", stages.Stable), 2)
	return o, w
}

// TestSwitchOfAServiceLosesNothing: to green and back again, by the Service
// alone, which a second process finds where it was left.
func TestSwitchOfAServiceLosesNothing(t *testing.T) {
	t.Parallel()
	o, w := existing(t, withoutRoute(t))
	blue, green := colours("shop")
	users := startAsking(t, w, "user.localhost")
	bringUp(t, w, green)
	traffic := stages.Traffic{Service: word("user")}
	r := route(t, w, traffic, blue, green)
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 0, 100); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := ask(t, w, "anything.example"); got != "2 green hello" {
			t.Fatalf("after the switch got %q", got)
		}
	}
	users.done(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, o)
	if got := ask(t, w, "user.localhost"); got != "2 green hello" {
		t.Errorf("after a new start got %q", got)
	}
	again, err := w.RouterOf(was)
	if err != nil {
		t.Fatal(err)
	}
	users = startAsking(t, w, "user.localhost")
	if err := again.Restore(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, w, "user.localhost"); got != "1 stable hello" {
		t.Errorf("after it was put back got %q", got)
	}
	if err := w.RemoveTrack(t.Context(), green, false); err != nil {
		t.Fatal(err)
	}
	users.done(t)
}

// TestColoursBehindAnHTTPRoute: the HTTPRoute points at blue, and green is in
// another namespace, with what it needs of blue's.
func TestColoursBehindAnHTTPRoute(t *testing.T) {
	t.Parallel()
	_, w := existing(t, manifestsOf(t, "user"))
	blue, green := colours("shop-green")
	users := startAsking(t, w, "user.localhost")
	bringUp(t, w, green)
	traffic := stages.Traffic{HTTPRoute: word("shop/user")}
	to := route(t, w, traffic, blue, green)
	for _, step := range []struct{ from, to float64 }{{0, 50}, {50, 100}} {
		if err := to.SetWeight(t.Context(), step.from, step.to); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, w, "user.localhost"); got != "2 green hello" {
		t.Errorf("after the switch got %q", got)
	}
	back := route(t, w, traffic, green, blue)
	if err := back.SetWeight(t.Context(), 0, 100); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, w, "user.localhost"); got != "1 stable hello" {
		t.Errorf("after the way back got %q", got)
	}
	users.done(t)
}

const nginxConfig = `
apiVersion: v1
kind: ConfigMap
metadata: {name: nginx, namespace: shop}
data:
  nginx.conf: |
    events {}
    http { 
      upstream user {
        server user.shop.svc:80 down;
        server user-green.shop-green.svc.cluster.local:80 weight=100;
      }
    }
`

// TestActiveColourIsReadFromNginx: no name says it, and none is guessed at.
func TestActiveColourIsReadFromNginx(t *testing.T) {
	t.Parallel()
	raw, err := yaml.YAMLToJSONStrict([]byte(nginxConfig))
	if err != nil {
		t.Fatal(err)
	}
	_, w := existing(t, append(withoutRoute(t), raw))
	blue, green := colours("shop-green")
	bringUp(t, w, green)
	r := route(t, w, stages.Traffic{Nginx: word("shop/nginx"), Upstream: word("user")}, blue, green)
	if weight, err := r.Weight(t.Context()); weight != 100 || err != nil {
		t.Errorf("got weight %v, %v, want 100 on green", weight, err)
	}
	if want := "nginx shop/nginx user"; r.Name() != want {
		t.Errorf("got the name %q, want %q", r.Name(), want)
	}
	if got := ask(t, w, "shop.example"); got != "2 green hello" {
		t.Errorf("got %q", got)
	}
}

// TestNothingSplitsByNumbersOfPods: it is refused, with the word that helps.
func TestNothingSplitsByNumbersOfPods(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	_, err := w.Router(stages.Traffic{Replicas: source.Bool{Value: true, Pos: source.Pos{Line: 1, Col: 1}}}, stages.Split{Old: track("user", stages.Stable), New: track("user", stages.Canary)})
	if err == nil || !strings.Contains(err.Error(), "numbers of pods") {
		t.Errorf("got %v, want it refused", err)
	}
}
