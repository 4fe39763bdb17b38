package importer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// gate is one gate of the file, with checks as lines of YAML.
type gate struct {
	name          string
	checks        []string
	every, warmup time.Duration
	failures      int
	window        time.Duration
	judged        time.Duration
}

// analysis makes a gate of what a Rollout says about an analysis, and returns
// its name, "" where none of its metrics could be carried over, and how long
// it looks.
func (im *importing) analysis(n *node) (string, time.Duration) {
	args := map[string]string{}
	for _, a := range n.get("args").list() {
		name := a.get("name").text()
		if v := a.get("value"); v.there() {
			args[name] = v.text()
			continue
		}
		a.get("valueFrom").all() // A query that needs it says so.
	}
	for _, k := range []string{"dryRun", "measurementRetention", "analysisRunMetadata", "clusterScope"} {
		if d := n.get(k); d.there() && k == "dryRun" {
			im.lost(d, "every check of a gate counts")
		}
	}
	g := gate{}
	var names []string
	refs := n.get("templates").list()
	if one := n.get("templateName"); one.there() { // As it was in old versions.
		refs = append(refs, n)
	}
	for _, ref := range refs {
		name := ref.get("templateName").text()
		ref.get("clusterScope").use()
		template, ok := im.templates[name]
		if !ok {
			im.lost(ref, "AnalysisTemplate %q is in none of the files", name)
			continue
		}
		names = append(names, name)
		im.template(&g, template, args)
	}
	if len(g.checks) == 0 {
		im.lost(n.get("templates"), "none of its metrics became a check, so there is no gate in its place")
		return "", 0
	}
	name := strings.Join(names, "-")
	if !label().MatchString(name) {
		name = "analysis"
	}
	return im.keep(name, g), max(g.judged, time.Second)
}

// keep adds a gate to the file, once.
func (im *importing) keep(name string, g gate) string {
	for _, other := range im.gates {
		if slices.Equal(other.checks, g.checks) && other.every == g.every && other.window == g.window && other.warmup == g.warmup && other.failures == g.failures {
			return other.name
		}
	}
	g.name = im.free(name)
	im.gates = append(im.gates, g)
	return g.name
}

// template reads the metrics of an AnalysisTemplate.
func (im *importing) template(g *gate, t *node, given map[string]string) {
	spec := t.get("spec")
	args := map[string]string{}
	for _, a := range spec.get("args").list() {
		if v := a.get("value"); v.there() {
			args[a.get("name").text()] = v.text()
		}
		a.all()
	}
	maps.Copy(args, given)
	for _, ref := range spec.get("templates").list() {
		im.lost(ref, "templates within templates are not read; name it beside this one")
	}
	for _, k := range []string{"dryRun", "measurementRetention"} {
		if n := spec.get(k); n.there() {
			im.lost(n, "every check of a gate counts, and the report keeps every look")
		}
	}
	for _, m := range spec.get("metrics").list() {
		im.metric(g, m, args)
	}
	im.rest(spec)
}

func (im *importing) metric(g *gate, m *node, args map[string]string) {
	name := m.get("name").text()
	im.each(m, false, map[string]string{
		"inconclusiveLimit":       "a gate that is inconclusive waits, and fails in the end; see onInconclusive",
		"consecutiveErrorLimit":   "metrics that do not answer are waited for, for metricsGrace",
		"consecutiveSuccessLimit": "a gate is content once every check has shown that all is well",
	})
	provider := m.get("provider")
	for _, kind := range provider.names() {
		p := provider.get(kind)
		switch kind {
		case "prometheus":
			b, ok := im.bounds(m)
			query, known := im.query(g, p, args)
			if !ok || !known {
				continue
			}
			check := "query: " + quote(query) + b.text()
			if name != "" {
				check = "name: " + quote(name) + ", " + check
			}
			g.checks = append(g.checks, "{"+check+"}")
			im.pace(g, m)
		case "web":
			im.web(g, m, p, args)
		case "job":
			im.lost(p, "a job in the cluster is not started; a check of the kind command runs a script beside the pipeline")
		default:
			im.lost(p, "there is no provider but Prometheus; a check of the kind command can ask %s", kind)
		}
	}
	im.rest(m)
}

// pace reads how often a metric is looked at. A gate has one pace: that of its
// fastest check.
func (im *importing) pace(g *gate, m *node) {
	every, timed := duration(m.get("interval"))
	if timed && every >= 100*time.Millisecond {
		if g.every > 0 && every != g.every {
			im.lost(m.get("interval"), "all checks of a gate are made at once, as often as the fastest")
		}
		if g.every == 0 || every < g.every {
			g.every = every
		}
	}
	if count, ok := m.get("count").number(); ok && count >= 1 && count < 1e6 {
		g.judged = max(g.judged, time.Duration(count)*max(every, time.Second))
	}
	if d, ok := duration(m.get("initialDelay")); ok {
		g.warmup = max(g.warmup, d)
	}
	if f, ok := m.get("failureLimit").number(); ok && f >= 0 && f <= 1000 {
		g.failures = max(g.failures, int(f))
	}
}

// query reads a query of Prometheus, with its arguments in place.
func (im *importing) query(g *gate, p *node, args map[string]string) (string, bool) {
	if address := p.get("address"); address.there() {
		im.address(address, args)
	}
	for _, k := range []string{"authentication", "headers", "insecure", "timeout", "rangeQuery"} {
		if n := p.get(k); n.there() {
			im.lost(n, "see the section prometheus of the file for what it can say")
		}
	}
	query, ok := im.fill(p.get("query"), args)
	if ok && strings.TrimSpace(query) == "" {
		im.lost(p, "it has no query")
		return "", false
	}
	if ok {
		im.tell(p.get("query"), "it looks at what it names; put ${{ selector }} among its matchers to look at the new pods alone")
	}
	return g.windowed(strings.TrimSpace(query)), ok
}

var fixedRange = pattern(`([})a-zA-Z0-9_:])\[([0-9]+)(s|m|h)\]`)

// windowed puts the gate's window in place of fixed ranges, which would look
// back to before the new pods got traffic. The window is as long as the
// longest of them.
func (g *gate) windowed(query string) string {
	return fixedRange().ReplaceAllStringFunc(query, func(m string) string {
		part := fixedRange().FindStringSubmatch(m)
		if d, err := time.ParseDuration(part[2] + part[3]); err == nil && d < 1e6*time.Second {
			g.window = max(g.window, d)
		}
		return part[1] + "[${{ window }}]"
	})
}

var argument = pattern(`\{\{\s*args\.([-_.a-zA-Z0-9]+)\s*\}\}`)

// fill puts arguments in place.
func (im *importing) fill(n *node, args map[string]string) (string, bool) {
	missing := ""
	s := argument().ReplaceAllStringFunc(n.text(), func(m string) string {
		name := argument().FindStringSubmatch(m)[1]
		v, ok := args[name]
		if !ok {
			missing = name
		}
		return v
	})
	switch {
	case missing != "":
		im.lost(n, "its argument %s has no value that is known before the run", missing)
		return "", false
	case strings.Contains(s, "{{") || !clean(s):
		im.lost(n, "it has a template that is not known here")
		return "", false
	}
	return s, true
}

// clean reports whether a text can stand in a line of YAML and in an
// expression.
func clean(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\uFFFD' || r == '\uFEFF' || r >= 0x80 && r < 0xa0
	}) &&
		!strings.Contains(s, "${{")
}

func (im *importing) address(n *node, args map[string]string) {
	address, ok := im.fill(n, args)
	switch {
	case !ok:
	case !webAddress().MatchString(address):
		im.lost(n, "it is no URL")
	case im.prometheus == "":
		im.prometheus = address
	case im.prometheus != address:
		im.lost(n, "a file asks one Prometheus, %s", im.prometheus)
	}
}

var webAddress = pattern(`^https?://[-a-zA-Z0-9.]+(:[0-9]{1,5})?(/[-a-zA-Z0-9._~/]*)?$`)

// web reads a web metric that asks for no more than an answer.
func (im *importing) web(g *gate, m, p *node, args map[string]string) {
	url, ok := im.fill(p.get("url"), args)
	method := p.get("method").text()
	if !ok || !webAddress().MatchString(url) || p.get("jsonPath").there() || method != "" && method != "GET" {
		im.lost(p, "only that a URL answers well can be carried over; a check of the kind command can look into the answer")
		return
	}
	for _, k := range []string{"successCondition", "failureCondition"} {
		if n := m.get(k); n.there() {
			im.lost(n, "the check asks for a status from 200 to 299")
		}
	}
	g.checks = append(g.checks, "{http: "+quote(url)+"}")
	im.pace(g, m)
	im.rest(p)
}

// bounds are the smallest and the largest value that is well.
type bounds struct{ min, max *float64 }

func (b bounds) text() string {
	s := ""
	if b.max != nil {
		s += ", max: " + strconv.FormatFloat(*b.max, 'f', -1, 64)
	}
	if b.min != nil {
		s += ", min: " + strconv.FormatFloat(*b.min, 'f', -1, 64)
	}
	return s
}

// bounds reads the conditions of a metric.
func (im *importing) bounds(m *node) (bounds, bool) {
	var b bounds
	for _, c := range []struct {
		key    string
		failed bool
	}{{"successCondition", false}, {"failureCondition", true}} {
		n := m.get(c.key)
		if !n.there() {
			continue
		}
		if why := b.take(n.text(), c.failed); why != "" {
			im.lost(n, "%s", why)
			return b, false
		}
	}
	if b.min == nil && b.max == nil || b.min != nil && b.max != nil && *b.min > *b.max {
		im.lost(m, "no bound of its value is said that would make a check")
		return b, false
	}
	return b, true
}

var comparison = pattern(`^\(?\s*(?:(?:asFloat|asInt)\()?(?:default\()?result(?:\[0\])?(?:\s*,\s*[-0-9.eE]+\s*\))?\)?\s*(<=|>=|==|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*\)?$`)

// take adds what a condition says. A condition of failure is turned round:
// what joins its parts must be "or", and "and" for one of success.
func (b *bounds) take(condition string, failed bool) string {
	joint, other := "&&", "||"
	if failed {
		joint, other = "||", "&&"
	}
	if strings.Contains(condition, other) {
		return fmt.Sprintf("conditions joined by %s are not the bounds of one value", other)
	}
	for part := range strings.SplitSeq(condition, joint) {
		part = strings.TrimSpace(part)
		if notANumber().MatchString(part) {
			continue // Such values never count as well here.
		}
		found := comparison().FindStringSubmatch(part)
		if found == nil {
			return "it is not a comparison of the result with a number"
		}
		v, err := strconv.ParseFloat(found[2], 64)
		if err != nil || math.Abs(v) > 1e15 || v != 0 && math.Abs(v) < 1e-12 {
			return "its number cannot be read"
		}
		if !b.bound(found[1], v, failed) {
			return "it is not a bound"
		}
	}
	return ""
}

var notANumber = pattern(`^!?\s*is(NaN|Inf|Nil)\(result(\[0\])?\)$`)

func (b *bounds) bound(operator string, v float64, failed bool) bool {
	if failed {
		operator = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[operator]
	}
	switch operator {
	case "<", "<=":
		b.max = &v
	case ">", ">=":
		b.min = &v
	case "==":
		b.min, b.max = &v, &v
	default:
		return false
	}
	return true
}

// lines writes a gate.
func (g gate) lines() []string {
	out := []string{quote(g.name) + ":"}
	if g.every > 0 {
		out = append(out, "  every: "+source.FormatDuration(g.every))
	}
	if g.window > 0 {
		out = append(out, "  window: "+source.FormatDuration(g.window))
	}
	if g.warmup > 0 {
		out = append(out, "  warmup: "+source.FormatDuration(g.warmup))
	}
	if g.failures > 0 {
		out = append(out, fmt.Sprintf("  failuresAllowed: %d", g.failures))
	}
	out = append(out, "  checks:")
	for _, c := range g.checks {
		out = append(out, "    - "+c)
	}
	return out
}
