package gates

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Preset says how what exposes metrics calls them: the application itself, or
// what stands before it.
type Preset struct {
	// Name is the word of the file.
	Name string
	// Requests is a counter of requests, or several that differ by labels.
	Requests string
	// Errors are PromQL matchers of the requests that failed; empty where
	// failed requests cannot be told, and Cannot then says why.
	Errors string
	// Duration are the buckets of a histogram of durations, empty where there
	// are none, and Unit is what it counts in, s or ms.
	Duration, Unit string
	// Where are PromQL matchers of the requests that count at all.
	Where string
	// Told says which label takes what of a track, in the order of the
	// selector.
	Told []Told
	// Cannot says why there are no errors or no durations, and Hint what to do
	// in their place.
	Cannot, Hint string
}

// Told is a label that tells tracks apart.
type Told struct {
	Label string
	By    By
}

// By is what of a track a label takes.
type By int

// What labels take. ByPods stands for the selector of the track's pods as it
// is, without any label of a preset's own.
const (
	ByPods By = iota + 1
	ByNamespace
	ByWorkload
	ByService
)

// String returns the word of messages.
func (b By) String() string {
	switch b {
	case ByPods:
		return "pods"
	case ByNamespace:
		return "namespace"
	case ByWorkload:
		return "workload"
	case ByService:
		return "service"
	}
	return fmt.Sprintf("by(%d)", int(b))
}

// Names are those of a track's objects, for metrics that do not tell pods.
type Names struct {
	Namespace, Workload, Service string
}

// The names of presets.
const (
	presetApp           = "app"
	presetOpenTelemetry = "openTelemetry"
	presetIstio         = "istio"
	presetEnvoyGateway  = "envoyGateway"
	presetTraefik       = "traefik"
	presetNginx         = "nginx"
)

// Presets returns all of them, the default first.
func Presets() []Preset {
	pods := []Told{{By: ByPods}}
	return []Preset{
		{
			Name: presetApp, Requests: "http_requests_total", Errors: `status=~"5.."`,
			Duration: "http_request_duration_seconds_bucket", Unit: "s", Told: pods,
		},
		{
			Name: presetOpenTelemetry, Requests: "http_server_request_duration_seconds_count", Errors: `http_response_status_code=~"5.."`,
			Duration: "http_server_request_duration_seconds_bucket", Unit: "s", Told: pods,
		},
		{
			// The server's side counts: retries of the mesh hide errors from the
			// client's, and both together count everything twice.
			Name: presetIstio, Requests: "istio_requests_total", Errors: `response_code=~"5.."`,
			Duration: "istio_request_duration_milliseconds_bucket", Unit: "ms", Where: `reporter="destination"`,
			Told: []Told{{"destination_workload_namespace", ByNamespace}, {"destination_workload", ByWorkload}},
		},
		{
			// The cluster has the Service in its name where Envoy Gateway was
			// told so; otherwise it stands for a rule of the route, with both
			// tracks behind it.
			Name: presetEnvoyGateway, Requests: "envoy_cluster_upstream_rq_xx", Errors: `envoy_response_code_class="5"`,
			Duration: "envoy_cluster_upstream_rq_time_bucket", Unit: "ms",
			Told: []Told{{"envoy_cluster_name", ByService}},
		},
		{
			Name: presetTraefik, Requests: "traefik_service_requests_total", Errors: `code=~"5.."`,
			Duration: "traefik_service_request_duration_seconds_bucket", Unit: "s",
			Told: []Told{{"service", ByService}},
		},
		{
			Name: presetNginx, Requests: "nginx_http_requests_total", Told: pods,
			Cannot: "nginx-prometheus-exporter counts requests, and neither status codes nor durations",
			Hint:   "take the metrics of the application, with preset: app, or name another metric",
		},
	}
}

// PresetOf returns the preset of that name, and false where there is none.
func PresetOf(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// UntoldError reports a preset whose metrics cannot tell a track apart.
type UntoldError struct {
	Preset, Label string
	By            By
}

// Error names preset, label and what is not known.
func (e *UntoldError) Error() string {
	return fmt.Sprintf("the metrics of preset %s tell tracks apart by %s, and the track's %s is not known", e.Preset, e.Label, e.By)
}

// Hint says what can be done.
func (e *UntoldError) Hint() string {
	return "set track: to matchers of the track, such as " + e.Label + `="NAME", or take the metrics of the application, with preset: app`
}

// Selector returns the PromQL matchers that select the track of these names:
// those of its pods as they are, or of the labels that the preset's metrics
// have. The error is an [*UntoldError].
func (p Preset) Selector(pods string, n Names) (string, error) {
	var parts []string
	for _, t := range p.Told {
		switch t.By {
		case ByPods:
			parts = append(parts, pods)
			continue
		case ByNamespace:
			if n.Namespace == "" {
				return "", &UntoldError{p.Name, t.Label, t.By}
			}
			parts = append(parts, t.Label+"="+strconv.Quote(n.Namespace))
		case ByWorkload:
			if n.Workload == "" {
				return "", &UntoldError{p.Name, t.Label, t.By}
			}
			parts = append(parts, t.Label+"="+strconv.Quote(n.Workload))
		case ByService:
			pattern := p.pattern(n)
			if pattern == "" {
				return "", &UntoldError{p.Name, t.Label, t.By}
			}
			parts = append(parts, t.Label+"=~"+strconv.Quote(pattern))
		}
	}
	return matchers(parts...), nil
}

// pattern matches what a proxy calls the Service of a track; "" when that is
// not known. The ends are kept, so that user-service does not match
// user-service-canary: Traefik puts the port after the name, and Envoy Gateway
// a slash or nothing.
func (p Preset) pattern(n Names) string {
	if n.Service == "" || n.Namespace == "" {
		return ""
	}
	namespace, service := regexp.QuoteMeta(n.Namespace), regexp.QuoteMeta(n.Service)
	if p.Name == presetTraefik {
		// namespace-service-port@kubernetescrd, @kubernetes or @kubernetesgateway;
		// a port that has a name stands by it, and Gateway API puts http before.
		return namespace + "-" + service + "-([0-9]+|http|https|web|grpc|h2c)(-[0-9a-z]+)?@kubernetes[a-z]*"
	}
	return "(.*/)?" + namespace + "/" + service + "(/[0-9]+)?"
}
