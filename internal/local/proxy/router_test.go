package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/local/proxy"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// memory is a store that can be told to fail, and that tells of each save.
type memory struct {
	mu    sync.Mutex
	saved map[string]proxy.Route
	fail  error
	lose  bool
	onto  func(proxy.Route)
}

func (m *memory) Load(name string) (proxy.Route, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.saved[name]
	return r, ok, nil
}

func (m *memory) Save(r proxy.Route) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.onto != nil {
		m.onto(r)
	}
	if m.fail != nil || m.lose {
		return m.fail
	}
	if m.saved == nil {
		m.saved = map[string]proxy.Route{}
	}
	m.saved[r.Name] = r
	return nil
}

func TestRouterConforms(t *testing.T) {
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
		s := start(t)
		s.SetEndpoints(shop, "canary", []string{"127.0.0.1:9"})
		store := &memory{}
		return portstest.RouterFixture{
			Router: proxy.NewRouter(s, store, shop),
			State: func(*testing.T) string {
				r, _ := s.Route(shop)
				b, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			},
			SetByOther: func(t *testing.T, w float64) {
				set(t, s, map[string]float64{"stable": 100 - w, "canary": w})
			},
			EditByOther: func(t *testing.T) {
				r, _ := s.Route(shop)
				r.Hosts = []string{"shop.example", "www.shop.example"}
				if err := s.SetRoute(r); err != nil {
					t.Fatal(err)
				}
			},
			RemoveCanary: func(*testing.T) { s.SetEndpoints(shop, "canary", nil) },
			Fractions:    true,
			Patience:     5 * time.Second,
		}
	})
}

// TestRouterOfColoursConforms: between blue and green, both ways.
func TestRouterOfColoursConforms(t *testing.T) {
	portstest.RouterColours(t, func(t *testing.T) portstest.ColoursFixture {
		s := start(t)
		set(t, s, map[string]float64{"blue": 100})
		r := proxy.NewRouter(s, &memory{}, shop)
		return portstest.ColoursFixture{
			RouterFixture: portstest.RouterFixture{
				Router: r.Between("blue", "green"),
				State: func(*testing.T) string {
					rt, _ := s.Route(shop)
					return fmt.Sprint(rt)
				},
				Patience: 20 * time.Second,
			},
			Back: func(*testing.T) stages.Router { return r.Between("green", "blue") },
		}
	})
}

// TestSnapshotKnowsItsTracks: who goes on with a run knows nothing else.
func TestSnapshotKnowsItsTracks(t *testing.T) {
	s := start(t)
	set(t, s, map[string]float64{"green": 100})
	r := proxy.NewRouter(s, &memory{}, shop).Between("green", "blue")
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 0, 100); err != nil {
		t.Fatal(err)
	}
	again, err := proxy.FromSnapshot(s, &memory{}, was)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := again.Weight(t.Context()); w != 100 || err != nil {
		t.Errorf("got weight %v, %v, want 100 on blue", w, err)
	}
}

// TestFallbacksAreForWhatNothingElseIsFor: a Service has no hosts of its own.
func TestFallbacksAreForWhatNothingElseIsFor(t *testing.T) {
	s := start(t)
	add := func(name string, fallback bool, hosts ...string) {
		t.Helper()
		r := proxy.Route{Name: name, Hosts: hosts, Fallback: fallback, Weights: map[string]float64{name: 100}}
		if err := s.SetRoute(r); err != nil {
			t.Fatal(err)
		}
		s.SetEndpoints(name, name, nil) // 503 says that the route was found
	}
	status := func(host string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	s.RemoveRoute(shop)
	add("service shop/user", true, "user.localhost")
	for _, host := range []string{"user.localhost", "shop.example", "127.0.0.1"} {
		if got := status(host); got != http.StatusServiceUnavailable {
			t.Errorf("with a Service alone, %s is answered %d", host, got)
		}
	}
	add("shop/other", false, "other.example")
	for host, want := range map[string]int{"user.localhost": 503, "shop.example": 404, "127.0.0.1": 503, "other.example": 503} {
		if got := status(host); got != want {
			t.Errorf("beside an HTTPRoute, %s is answered %d, want %d", host, got, want)
		}
	}
	if c := s.Counts("shop/other"); c["shop/other"].Requests != 2 {
		t.Errorf("the HTTPRoute got %v, want 127.0.0.1 and its own host", c)
	}
}

func TestWeightIsSavedBeforeTheProxyGoesByIt(t *testing.T) {
	s := start(t)
	store := &memory{}
	var then float64
	store.onto = func(proxy.Route) {
		r, _ := s.Route(shop)
		then = r.Weights["canary"]
	}
	r := proxy.NewRouter(s, store, shop)
	if err := r.SetWeight(t.Context(), 0, 20); err != nil {
		t.Fatal(err)
	}
	if then != 0 {
		t.Errorf("when it was saved the proxy was at %v already", then)
	}
	if got := store.saved[shop].Weights; !cmp.Equal(got, map[string]float64{"stable": 80, "canary": 20}) {
		t.Errorf("saved %v", got)
	}
}

func TestWhatCannotBeSavedIsNotDone(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store *memory
		want  string
		at    float64
	}{
		{"an error", &memory{fail: errors.New("disk full")}, "set weight of httpRoute shop/user to 20%: save route: disk full", 0},
		{"lost", &memory{lose: true}, "it was not saved", 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			r := proxy.NewRouter(s, tt.store, shop)
			if err := r.SetWeight(t.Context(), 0, 20); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if w, err := r.Weight(t.Context()); w != tt.at || err != nil {
				t.Errorf("Weight = %v, %v, want %v", w, err, tt.at)
			}
		})
	}
}

func TestWeightSurvivesTheProcess(t *testing.T) {
	store := &memory{}
	one := start(t)
	before, err := proxy.NewRouter(one, store, shop).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.NewRouter(one, store, shop).SetWeight(t.Context(), 0, 40); err != nil {
		t.Fatal(err)
	}
	two := startServer(t)
	saved, _, _ := store.Load(shop)
	if err := two.SetRoute(saved); err != nil {
		t.Fatal(err)
	}
	r, err := proxy.FromSnapshot(two, store, before)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := r.Weight(t.Context()); w != 40 || err != nil {
		t.Errorf("Weight = %v, %v", w, err)
	}
	if err := r.Restore(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if w := store.saved[shop].Weights; !cmp.Equal(w, map[string]float64{"stable": 100}) {
		t.Errorf("saved %v", w)
	}
}

func TestMissingRouteIsSaid(t *testing.T) {
	s := startServer(t)
	r := proxy.NewRouter(s, &memory{}, "shop/other")
	ctx := t.Context()
	_, weight := r.Weight(ctx)
	_, snap := r.Snapshot(ctx)
	_, plan := r.PlanWeight(ctx, 20)
	for name, err := range map[string]error{
		"Weight": weight, "Snapshot": snap, "PlanWeight": plan, "SetWeight": r.SetWeight(ctx, 0, 20),
		"Restore": r.Restore(ctx, json.RawMessage(`{"router":"local","route":"shop/other","weights":{"stable":100}}`)),
	} {
		var missing *proxy.MissingError
		if !errors.As(err, &missing) || missing.Hint() == "" || !strings.Contains(err.Error(), "there is no HTTPRoute shop/other") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCheckAndPlan(t *testing.T) {
	s := start(t)
	check := func(name string) string {
		found, err := proxy.NewRouter(s, &memory{}, name).Check(t.Context(), stages.RolloutCheck{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found)
	}
	r := proxy.NewRouter(s, &memory{}, shop)
	wantText(t, check(shop), "[]")
	if got := check("shop/x"); !strings.Contains(got, "there is no HTTPRoute shop/x") {
		t.Error(got)
	}
	if err := r.SetWeight(t.Context(), 0, 0.5); err != nil {
		t.Fatal(err)
	}
	if got := check(shop); !strings.Contains(got, "gives 0.5% of its traffic to the canary already") {
		t.Error(got)
	}
	w, err := r.PlanWeight(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, w.Summary, "20% of the traffic of httpRoute shop/user to the canary, which has 0.5% now")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Check(ended, stages.RolloutCheck{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Check with an ended context: %v", err)
	}
}

// FuzzSnapshot: what is read is a valid route's, and is the same when it is
// written and read again.
func FuzzSnapshot(f *testing.F) {
	for _, s := range []string{
		`{"router":"local","route":"shop/user","weights":{"stable":80,"canary":20}}`,
		`{"router":"local","route":"shop/user","weights":{"stable":100}}`,
		`{"router":"httpRoute","namespace":"shop"}`, `{"router":"local","route":"a","weights":{"stable":1e999}}`, `null`, `[]`, ``,
		`{"router":"local","route":"a","weights":{"":100}}`, `{"router":"local","route":"a","weights":{"stable":-1,"canary":101}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := startServer(t)
		r, err := proxy.FromSnapshot(s, &memory{}, b)
		if (err == nil) != proxy.IsSnapshot(b) {
			t.Fatalf("FromSnapshot(%q) = %v, IsSnapshot says otherwise", b, err)
		}
		if err != nil {
			return
		}
		name := strings.TrimPrefix(r.Name(), "httpRoute ")
		if err := s.SetRoute(proxy.Route{Name: name, Weights: map[string]float64{"stable": 100}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Restore(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		once, _ := s.Route(name)
		again, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Restore(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if twice, _ := s.Route(name); !cmp.Equal(once, twice) {
			t.Errorf("from %q and from %q it is not the same:\n%s", b, again, cmp.Diff(once, twice))
		}
	})
}
