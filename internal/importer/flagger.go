package importer

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// flagger reads a Canary of Flagger.
func (im *importing) flagger(d *node) error {
	if _, err := im.workload(d); err != nil {
		return err
	}
	spec := d.get("spec")
	target := spec.get("targetRef")
	name := target.get("name").text()
	if !label().MatchString(name) {
		return fmt.Errorf("spec.targetRef.name %q is not the name of an object", name)
	}
	target.get("apiVersion").use()
	if kind := target.get("kind").text(); kind != "" && kind != "Deployment" {
		im.lost(target.get("kind"), "Headgate rolls out Deployments")
	}
	im.tell(target, "Flagger serves users by %s-primary, Headgate by %s itself: delete the Canary first, which gives the traffic back to it", name, name)
	s := stage{name: im.free(name), kind: "canary"}
	s.add("deployment: %s", quote(name))
	s.add("image: %s", im.image("registry.example/"+name))
	analysis := spec.get("analysis")
	if !analysis.there() {
		analysis = spec.get("canaryAnalysis")
	}
	f := flagged{name: name, interval: time.Minute, service: name}
	if d, ok := duration(analysis.get("interval")); ok && d > 0 {
		f.interval = d
	}
	if n := spec.get("service").get("name").text(); label().MatchString(n) {
		f.service = n
	}
	if i, ok := analysis.get("iterations").number(); ok && i >= 1 && i < 1e5 {
		f.iterations = int(i)
	}
	f.provider = strings.ToLower(spec.get("provider").text())
	gate := im.flaggerGate(analysis, f)
	switch match := analysis.get("match"); {
	case f.provider == "kubernetes" || f.iterations > 0 && !match.there():
		im.flaggerBlueGreen(&s, spec, f, gate)
	default:
		im.flaggerCanary(&s, spec, analysis, f, gate)
	}
	im.stages = append(im.stages, s)
	im.flaggerRest(spec, analysis)
	return nil
}

// flagged is what the parts of a Canary share.
type flagged struct {
	name, service, provider string
	interval                time.Duration
	iterations              int
}

func (im *importing) flaggerBlueGreen(s *stage, spec *node, f flagged, gate string) {
	s.kind = "blueGreen"
	if f.provider == "kubernetes" || f.provider == "" {
		s.add("traffic: {service: %s}", quote(f.service))
	} else {
		r := im.flaggerRouter(spec, f)
		if r.key == "replicas" {
			r = route{key: "service", value: quote(f.service)}
		}
		s.add("traffic: {%s: %s}", r.key, r.value)
	}
	if gate == "" {
		return
	}
	s.add("gate: %s", quote(gate))
	s.add("bake: %s", source.FormatDuration(f.interval*time.Duration(max(f.iterations, 1))))
}

func (im *importing) flaggerCanary(s *stage, spec, analysis *node, f flagged, gate string) {
	r := im.flaggerRouter(spec, f)
	parts := []string{r.key + ": " + r.value}
	match := im.flaggerMatch(analysis.get("match"))
	switch {
	case len(match) == 0:
	case r.matches == 0:
		im.lost(analysis.get("match"), "%s cannot match headers", r.key)
		match = nil
	case r.matches > 0 && len(match) > r.matches:
		im.lost(analysis.get("match"), "%s can match %d header only; the others are left out", r.key, r.matches)
		match = match[:r.matches]
	}
	if len(match) > 0 {
		parts = append(parts, "match: ["+strings.Join(match, ", ")+"]")
	}
	s.add("traffic: {%s}", strings.Join(parts, ", "))
	if gate != "" {
		s.add("gate: %s", quote(gate))
	}
	s.add("steps:")
	weights, pause := []float64{0}, f.interval*time.Duration(f.iterations)
	if len(match) == 0 || f.iterations == 0 {
		weights, pause = im.flaggerWeights(analysis), f.interval
	}
	for _, w := range weights {
		s.add("  - setWeight: %s%%", strconv.FormatFloat(w, 'f', -1, 64))
		s.add("  - pause: %s", source.FormatDuration(pause))
	}
}

// flaggerWeights are the weights that Flagger would set one after another.
func (im *importing) flaggerWeights(analysis *node) []float64 {
	var out []float64
	last := 0.0
	for _, n := range analysis.get("stepWeights").list() {
		if w, ok := n.number(); ok && w > last && w <= 100 {
			out, last = append(out, w), w
			continue
		}
		im.lost(n, "weights only go up, to 100")
	}
	largest, ok := analysis.get("maxWeight").number()
	if !ok || largest <= 0 || largest > 100 {
		largest = 100
	}
	step, ok := analysis.get("stepWeight").number()
	if len(out) > 0 {
		return out
	}
	if !ok || step < 1 || step > 100 {
		im.lost(analysis.get("stepWeight"), "it is not said, or no percentage; 20 and 50 stand in its place")
		return []float64{20, 50}
	}
	for w := step; w <= largest; w += step {
		out = append(out, w)
	}
	if len(out) == 0 {
		out = []float64{largest}
	}
	return out
}

// flaggerMatch reads header conditions that are exact.
func (im *importing) flaggerMatch(match *node) []string {
	var out []string
	for _, m := range match.list() {
		headers := m.get("headers")
		if len(headers.names()) != 1 {
			im.lost(m, "a match has one header with an exact value")
			continue
		}
		header := headers.names()[0]
		value := headers.get(header).get("exact").text()
		if header == "cookie" || value == "" || !clean(header+value) {
			im.lost(m, "only a header with an exact value can be carried over; cookies are matched with cookie: and value:")
			continue
		}
		out = append(out, fmt.Sprintf("{header: %s, value: %s}", quote(header), quote(value)))
		im.rest(m)
	}
	return out
}

func (im *importing) flaggerRouter(spec *node, f flagged) route {
	switch {
	case f.provider == "nginx":
		if n := spec.get("ingressRef").get("name"); validRoute(n.text()) {
			spec.get("ingressRef").use()
			for _, k := range []string{"apiVersion", "kind"} {
				spec.get("ingressRef").get(k).use()
			}
			return route{"ingressNginx", quote(n.text()), 1}
		}
	case f.provider == "istio":
		im.tell(spec.get("provider"), "Flagger makes the VirtualService %s and removes it with the Canary: keep a copy as one of your own", f.service)
		return route{"istio", quote(f.service), -1}
	case strings.HasPrefix(f.provider, "gatewayapi"):
		im.tell(spec.get("provider"), "Flagger makes the HTTPRoute %s and removes it with the Canary: keep a copy as one of your own", f.service)
		return route{"httpRoute", quote(f.service), -1}
	}
	im.lost(spec.get("provider"), "there is no router for %q; replicas: true stands in its place, which splits by numbers of pods", f.provider)
	return byReplicas
}

// flaggerGate makes a gate of the metrics.
func (im *importing) flaggerGate(analysis *node, f flagged) string {
	g := gate{every: max(f.interval, 100*time.Millisecond)}
	if t, ok := analysis.get("threshold").number(); ok && t >= 1 && t <= 1000 {
		g.failures = int(t) - 1
	}
	for _, m := range analysis.get("metrics").list() {
		if check := im.flaggerMetric(m, f); check != "" {
			g.checks = append(g.checks, "{"+check+"}")
		}
		im.rest(m)
	}
	if len(g.checks) == 0 {
		im.lost(analysis.get("metrics"), "none of its metrics became a check, so there is no gate in its place")
		return ""
	}
	return im.keep("analysis", g)
}

func (im *importing) flaggerMetric(m *node, f flagged) string {
	name := m.get("name").text()
	m.get("interval").use()
	var b bounds
	for key, into := range map[string]**float64{"min": &b.min, "max": &b.max} {
		if v, ok := m.get("thresholdRange").get(key).number(); ok {
			*into = &v
		}
	}
	if v, ok := m.get("threshold").number(); ok && b.min == nil && b.max == nil { // As it was in old versions.
		if name == "request-success-rate" {
			b.min = &v
		} else {
			b.max = &v
		}
	}
	switch {
	case m.get("templateRef").there():
		m.get("templateRef").get("namespace").use()
		return im.flaggerTemplate(m, f, b)
	case m.get("query").there():
		return im.flaggerQuery(m.get("query"), m, f, b)
	case name == "request-success-rate" && b.min != nil && *b.min > 0 && *b.min < 100:
		im.tell(m, "asks the pods' own http_requests_total, where Flagger asks the router; see the keys of errorRate for other names")
		return "errorRate: {max: " + strconv.FormatFloat(100-*b.min, 'g', 6, 64) + "%}"
	case name == "request-duration" && b.max != nil && *b.max >= 1 && *b.max < 1e7:
		im.tell(m, "asks the pods' own http_request_duration_seconds, where Flagger asks the router; see the keys of latency for other names")
		return "latency: {quantile: 0.99, max: " + source.FormatDuration(time.Duration(*b.max)*time.Millisecond) + "}"
	}
	im.lost(m, "it is neither one of Flagger's own with a usable bound, nor a query")
	return ""
}

func (im *importing) flaggerTemplate(m *node, f flagged, b bounds) string {
	ref := m.get("templateRef").get("name")
	t, ok := im.metrics[ref.text()]
	if !ok {
		im.lost(ref, "MetricTemplate %q is in none of the files", ref.text())
		return ""
	}
	provider := t.get("spec").get("provider")
	if kind := provider.get("type").text(); kind != "prometheus" {
		im.lost(provider, "there is no provider but Prometheus; a check of the kind command can ask %q", kind)
		return ""
	}
	if a := provider.get("address"); a.there() {
		im.address(a, nil)
	}
	return im.flaggerQuery(t.get("spec").get("query"), m, f, b)
}

var variableIn = pattern(`\{\{\s*([a-z]+(?:\.[-_a-zA-Z0-9]+)?)\s*\}\}`)

func (im *importing) flaggerQuery(q, m *node, f flagged, b bounds) string {
	if b.min == nil && b.max == nil {
		im.lost(m, "no bound of its value is said")
		return ""
	}
	if !clean(q.text()) {
		im.lost(q, "it has a template that is not known here")
		return ""
	}
	missing := ""
	query := variableIn().ReplaceAllStringFunc(q.text(), func(s string) string {
		switch v := variableIn().FindStringSubmatch(s)[1]; v {
		case "interval":
			return "${{ window }}"
		case "namespace":
			return im.namespace
		case "target":
			return f.name + "-canary"
		case "service":
			return f.service
		default:
			if value := m.get("templateVariables").get(strings.TrimPrefix(v, "variables.")).text(); strings.HasPrefix(v, "variables.") && value != "" {
				return value
			}
			missing = v
			return ""
		}
	})
	if missing != "" || strings.Contains(strings.ReplaceAll(query, "${{ window }}", ""), "{{") || strings.TrimSpace(query) == "" {
		im.lost(q, "its variable %s is not known here", missing)
		return ""
	}
	im.tell(q, "it looks at what it names; put ${{ selector }} among its matchers to look at the new pods alone")
	check := "query: " + quote(strings.TrimSpace(query)) + b.text()
	if name := m.get("name").text(); name != "" && clean(name) {
		check = "name: " + quote(name) + ", " + check
	}
	return check
}

// flaggerRest says what becomes of everything else.
func (im *importing) flaggerRest(spec, analysis *node) {
	for _, w := range analysis.get("webhooks").list() {
		im.lost(w, "webhooks are not called; a test or run stage, or a check of the kind http or command, does the same")
	}
	for _, a := range analysis.get("alerts").list() {
		im.lost(a, "the CI tells people how a run ended")
	}
	im.each(analysis, true, map[string]string{
		"stepWeightPromotion": "traffic goes back to stable at once, when its new pods are ready",
		"mirror":              "no router here copies requests", "mirrorWeight": "no router here copies requests",
		"sessionAffinity":       "users are not kept on one track by cookies",
		"primaryReadyThreshold": "all pods that a weight needs must be ready", "canaryReadyThreshold": "all pods that a weight needs must be ready",
	})
	im.each(spec, false, map[string]string{
		"autoscalerRef":           "the HorizontalPodAutoscaler is found, held at its size and put back",
		"progressDeadlineSeconds": "readyTimeout says how long pods may take", "revertOnDeletion": "there is no object to delete",
		"service": "Services and routes stay as they are", "metricsServer": "the section prometheus says where metrics are",
		"routeRef": "the route is named in traffic", "upstreamRef": "the route is named in traffic", "ingressRef": "the Ingress is named in traffic",
	})
	if n := spec.get("skipAnalysis"); n.text() == "true" {
		im.lost(n, "leave out the key gate for the same")
	}
	if n := spec.get("suspend"); n.text() == "true" {
		im.lost(n, "a pipeline that shall not run is not started")
	}
	if a := spec.get("metricsServer"); a.there() && im.prometheus == "" {
		im.address(a, nil)
	}
	im.rest(spec)
}
