package gates_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/gates/counts"
)

func parsed(t *testing.T, ms string) []*labels.Matcher {
	t.Helper()
	out, err := parser.NewParser(parser.Options{}).ParseMetricSelector("{" + ms + "}")
	if err != nil {
		t.Fatalf("%s: %v", ms, err)
	}
	return out
}

// TestPresetsTellTracksApart: for each preset series as its source writes
// them, which of them are which track's, and which are errors.
func TestPresetsTellTracksApart(t *testing.T) {
	const stablePods, canaryPods = `namespace="shop",pod=~"user-[a-z0-9]{10}-[a-z0-9]{5}"`, `namespace="shop",pod=~"user-canary-[a-z0-9]{10}-[a-z0-9]{5}"`
	stable := gates.Names{Namespace: "shop", Workload: "user", Service: "user"}
	canary := gates.Names{Namespace: "shop", Workload: "user-canary", Service: "user-canary"}
	cases := []struct {
		preset, metric, duration, unit string
		series                         string
		track                          counts.Track
		failed                         bool
	}{
		{"app", "http_requests_total", "http_request_duration_seconds_bucket", "s", "namespace=shop,pod=user-0123456789-abcde,status=200", counts.Stable, false},
		{"app", "", "", "", "namespace=shop,pod=user-canary-0123456789-abcde,status=503", counts.Canary, true},
		{"app", "", "", "", "namespace=shop,pod=user-api-0123456789-abcde,status=503", counts.Other, true},
		{"openTelemetry", "http_server_request_duration_seconds_count", "http_server_request_duration_seconds_bucket", "s", "namespace=shop,pod=user-canary-0123456789-abcde,http_response_status_code=500,http_route=/a", counts.Canary, true},
		{"openTelemetry", "", "", "", "namespace=shop,pod=user-0123456789-abcde,http_response_status_code=404", counts.Stable, false},
		{"istio", "istio_requests_total", "istio_request_duration_milliseconds_bucket", "ms", "reporter=destination,destination_workload=user,destination_workload_namespace=shop,response_code=200", counts.Stable, false},
		{"istio", "", "", "", "reporter=destination,destination_workload=user-canary,destination_workload_namespace=shop,response_code=500", counts.Canary, true},
		{"istio", "", "", "", "reporter=source,destination_workload=user-canary,destination_workload_namespace=shop,response_code=500", counts.Other, true},
		{"istio", "", "", "", "reporter=destination,destination_workload=user,destination_workload_namespace=other,response_code=0", counts.Other, false},
		{"envoyGateway", "envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq_time_bucket", "ms", "envoy_cluster_name=HTTPRoute/shop/shop/user-canary,envoy_response_code_class=5", counts.Canary, true},
		{"envoyGateway", "", "", "", "envoy_cluster_name=shop/user,envoy_response_code_class=2", counts.Stable, false},
		{"envoyGateway", "", "", "", "envoy_cluster_name=httproute/shop/user-route/rule/0,envoy_response_code_class=2", counts.Other, false},
		{"traefik", "traefik_service_requests_total", "traefik_service_request_duration_seconds_bucket", "s", "service=shop-user-8080@kubernetescrd,code=200", counts.Stable, false},
		{"traefik", "", "", "", "service=shop-user-canary-8080@kubernetesgateway,code=502", counts.Canary, true},
		{"traefik", "", "", "", "service=shop-user-canary-http-80@kubernetesgateway,code=200", counts.Canary, false},
		{"traefik", "", "", "", "service=shop-user@docker,code=200", counts.Other, false},
		{"nginx", "nginx_http_requests_total", "", "", "namespace=shop,pod=user-0123456789-abcde", counts.Stable, false},
	}
	asked := map[string]bool{}
	for _, c := range cases {
		asked[c.preset] = true
		p, ok := gates.PresetOf(c.preset)
		if !ok {
			t.Fatalf("there is no preset %s", c.preset)
		}
		if c.metric != "" && (p.Requests != c.metric || p.Duration != c.duration || p.Unit != c.unit) {
			t.Errorf("%s counts %s, %s in %q", c.preset, p.Requests, p.Duration, p.Unit)
		}
		old, err := p.Selector(stablePods, stable)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := p.Selector(canaryPods, canary)
		if err != nil {
			t.Fatal(err)
		}
		where := ""
		if p.Where != "" {
			where = "," + p.Where
		}
		q := counts.Query{Canary: parsed(t, fresh+where), Stable: parsed(t, old+where)}
		set := map[string]string{}
		for kv := range strings.SplitSeq(c.series, ",") {
			k, v, _ := strings.Cut(kv, "=")
			set[k] = v
		}
		if got := q.Track(set); got != c.track {
			t.Errorf("%s: %s is of %s, want %s", c.preset, c.series, got, c.track)
		}
		if p.Errors != "" && counts.Matches(set, parsed(t, p.Errors)) != c.failed {
			t.Errorf("%s: %s failed: got %t, want %t", c.preset, c.series, !c.failed, c.failed)
		}
		if p.Errors == "" && (p.Cannot == "" || p.Hint == "") {
			t.Errorf("%s has no errors and does not say why", c.preset)
		}
	}
	for _, p := range gates.Presets() {
		if !asked[p.Name] {
			t.Errorf("preset %s has no series in this test", p.Name)
		}
	}
}

// TestPresetsOfProxiesNeedNames: what cannot be told is an error with advice,
// not the metrics of everybody.
func TestPresetsOfProxiesNeedNames(t *testing.T) {
	for _, p := range gates.Presets() {
		byPods := p.Told[0].By == gates.ByPods
		got, err := p.Selector(`pod="a"`, gates.Names{})
		if byPods {
			if err != nil || got != `pod="a"` {
				t.Errorf("%s: got %s, %v", p.Name, got, err)
			}
			continue
		}
		untold, ok := errors.AsType[*gates.UntoldError](err)
		if !ok || got != "" || untold.Hint() == "" || regexp.MustCompile(`by\(`).MatchString(err.Error()) {
			t.Errorf("%s: got %q, %v", p.Name, got, err)
		}
	}
}
