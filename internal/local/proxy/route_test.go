package proxy_test

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/local/proxy"
)

var all = map[string]float64{"stable": 100}

func TestRequestsGoToTheRouteThatFitsBest(t *testing.T) {
	s := startServer(t)
	for _, r := range []proxy.Route{
		{Name: "exact-host", Hosts: []string{"shop.example"}},
		{Name: "api", Hosts: []string{"shop.example"}, Paths: []string{"/api"}},
		{Name: "api-v2", Hosts: []string{"SHOP.example"}, Paths: []string{"/x", "/api/v2/"}},
		{Name: "login", Hosts: []string{"shop.example"}, Exact: []string{"/api/v2/login"}},
		{Name: "wild", Hosts: []string{"*.example"}},
		{Name: "wilder", Hosts: []string{"*.shop.example"}},
		{Name: "z-all", Paths: []string{"/"}},
		{Name: "health", Paths: []string{"/health"}},
		{Name: "same-b", Hosts: []string{"same.test"}},
		{Name: "same-a", Hosts: []string{"same.test"}},
	} {
		r.Weights = all
		if err := s.SetRoute(r); err != nil {
			t.Fatal(err)
		}
		s.SetEndpoints(r.Name, "stable", addresses(startPod(t, says(r.Name))))
	}
	c := client(t, false)
	for _, tt := range []struct{ host, path, want string }{
		{"shop.example", "/", "exact-host"},
		{"shop.example:8080", "/apix", "exact-host"},
		{"Shop.Example.", "/api", "api"},
		{"shop.example", "/api/v1?q=/api/v2", "api"},
		{"shop.example", "/api/v2", "api-v2"},
		{"shop.example", "/api/v2/x", "api-v2"},
		{"shop.example", "/api/v2/login", "login"},
		{"shop.example", "/api/v2/login/x", "api-v2"},
		{"a.example", "/api", "wild"},
		{"a.shop.example", "/", "wilder"},
		{"b.a.shop.example", "/", "wilder"},
		{"example", "/", "z-all"},
		{"other.test", "/healthy", "z-all"},
		{"other.test", "/health/live", "health"},
		{"same.test", "/", "same-a"},
		{"127.0.0.1:1", "/health", "health"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		if status, got := do(t, c, req); got != tt.want || status != http.StatusOK {
			t.Errorf("%s%s went to %q (%d), want %q", tt.host, tt.path, got, status, tt.want)
		}
	}
}

func TestThisMachineIsAHostOfEveryRoute(t *testing.T) {
	s := startServer(t)
	if err := s.SetRoute(proxy.Route{Name: shop, Hosts: []string{"shop.example"}, Paths: []string{"/shop"}, Weights: all}); err != nil {
		t.Fatal(err)
	}
	s.SetEndpoints(shop, "stable", addresses(startPod(t, says("here"))))
	c := client(t, false)
	if status, got := get(t, c, s.URL()+"/shop/1"); status != http.StatusOK || got != "here" {
		t.Errorf("got %d %q", status, got)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"127.0.0.1:8080", "/other", "no route is for 127.0.0.1/other\n"},
		{"other.example", "/shop", "no route is for other.example/shop\n"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+tt.path, nil)
		req.Host = tt.host
		if status, got := do(t, c, req); status != http.StatusNotFound || got != tt.want {
			t.Errorf("%s%s: got %d %q", tt.host, tt.path, status, got)
		}
	}
	s.RemoveRoute(shop)
	s.RemoveRoute(shop)
	if status, _ := get(t, c, s.URL()+"/shop/1"); status != http.StatusNotFound {
		t.Errorf("a route that was removed answers %d", status)
	}
}

func TestWrongRoutesAreRefused(t *testing.T) {
	s := startServer(t)
	for _, tt := range []struct {
		name string
		r    proxy.Route
		want string
	}{
		{"no name", proxy.Route{Weights: all}, "it has no name"},
		{"no weights", proxy.Route{Name: "a"}, "its weights are 0% together, not 100%"},
		{"too much", proxy.Route{Name: "a", Weights: map[string]float64{"x": 60, "y": 60}}, "120% together"},
		{"NaN", proxy.Route{Name: "a", Weights: map[string]float64{"x": math.NaN()}}, "no percentage"},
		{"negative", proxy.Route{Name: "a", Weights: map[string]float64{"x": -1}}, "no percentage"},
		{"no track", proxy.Route{Name: "a", Weights: map[string]float64{"": 100}}, "a weight is of no track"},
		{"host", proxy.Route{Name: "a", Hosts: []string{"http://x"}, Weights: all}, `"http://x" is no host name`},
		{"stars", proxy.Route{Name: "a", Hosts: []string{"*.*.x"}, Weights: all}, "is no host name"},
		{"path", proxy.Route{Name: "a", Paths: []string{"x"}, Weights: all}, `the path "x" does not begin with /`},
	} {
		if err := s.SetRoute(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if got := s.Routes(); len(got) != 0 {
		t.Errorf("the proxy has %v", got)
	}
	thirds := map[string]float64{"x": 33.333333, "y": 33.333333, "z": 33.333333}
	if err := s.SetRoute(proxy.Route{Name: "a", Weights: thirds}); err != nil {
		t.Errorf("rounded shares: %v", err)
	}
}

func TestListensOnThisMachineOnly(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"0.0.0.0:0", "is for this machine alone"}, {":0", "is for this machine alone"}, {"x", "read address"}, {"127.0.0.1:999999", "listen for"},
	} {
		if _, err := proxy.NewServer(proxy.Options{Listen: tt.listen}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.listen, err)
		}
	}
}
