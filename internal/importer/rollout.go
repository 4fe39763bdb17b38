package importer

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// stands is what takes the place of a pause without an end.
const stands = 5 * time.Minute

// rollout reads a Rollout of Argo Rollouts.
func (im *importing) rollout(d *node) error {
	name, err := im.workload(d)
	if err != nil {
		return err
	}
	spec := d.get("spec")
	s := stage{name: im.free(name), kind: "canary"}
	if ref := spec.get("workloadRef"); ref.there() {
		ref.use()
		if n := ref.get("name").text(); label().MatchString(n) {
			name = n
		}
		for _, k := range []string{"kind", "apiVersion", "scaleDown"} {
			ref.get(k).use()
		}
		im.tell(ref, "the Deployment %s itself takes the release; give it back its replicas before the Rollout goes", name)
	} else {
		im.tell(spec.get("template"), "make a Deployment %s of the Rollout's template, selector and replicas: Headgate rolls out Deployments (the stage argoRollout steers the Rollout itself)", name)
	}
	for _, k := range []string{"replicas", "selector", "template", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"} {
		spec.get(k).all() // They are the Deployment's own.
	}
	im.aside(spec)
	s.add("deployment: %s", quote(name))
	s.add("image: %s", im.image(firstImage(spec)))
	strategy := spec.get("strategy")
	switch canary, both := strategy.get("canary"), strategy.get("blueGreen"); {
	case both.there():
		s.kind = "blueGreen"
		im.blueGreen(&s, both)
	case len(canary.get("steps").list()) == 0 && !canary.get("trafficRouting").there():
		s.kind = "rolling"
		im.rolling(&s, canary)
	default:
		im.canary(&s, canary)
	}
	im.stages = append(im.stages, s)
	im.rest(spec)
	return nil
}

func (s *stage) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// aside are the keys of a Rollout that mean something else here, or nothing.
func (im *importing) aside(spec *node) {
	im.each(spec, false, map[string]string{
		"rollbackWindow":        "a rollback goes straight back to the old pods, which are still there",
		"progressDeadlineAbort": "what does not get ready within readyTimeout is always put back",
		"analysis":              "nothing is kept of former analyses but the report of the run",
	})
	if n := spec.get("restartAt"); n.there() {
		im.lost(n, "a restart is no release; kubectl rollout restart does it")
	}
	if n := spec.get("paused"); n.text() == "true" {
		im.lost(n, "a pipeline that shall not run is not started")
	}
}

// firstImage is that of the first container.
func firstImage(spec *node) string {
	for _, c := range spec.get("template").get("spec").get("containers").list() {
		if image := c.get("image").text(); image != "" {
			return image
		}
	}
	return "registry.example/image"
}

func (im *importing) rolling(s *stage, canary *node) {
	im.surge(canary)
	im.background(s, canary)
	im.dropped(canary)
	canary.get("steps").use()
}

// surge is what a rolling update of the Deployment says.
func (im *importing) surge(canary *node) {
	for _, k := range []string{"maxSurge", "maxUnavailable"} {
		if n := canary.get(k); n.there() {
			im.tell(n, "write it as strategy.rollingUpdate.%s of the Deployment; a canary needs neither, since its pods come beside the old ones", k)
		}
	}
}

func (im *importing) background(s *stage, canary *node) {
	analysis := canary.get("analysis")
	if !analysis.there() {
		return
	}
	if n := analysis.get("startingStep"); n.there() {
		im.lost(n, "the gate judges from the first traffic on")
	}
	if gate, _ := im.analysis(analysis); gate != "" {
		s.add("gate: %s", quote(gate))
	}
}

// canary reads steps, traffic and analysis.
func (im *importing) canary(s *stage, canary *node) {
	im.surge(canary)
	at := len(s.lines)
	im.background(s, canary)
	r := im.router(canary.get("trafficRouting"))
	steps := im.steps(canary.get("steps"), r)
	gated := s.lines[at:]
	s.lines = s.lines[:at:at]
	im.traffic(s, canary, r, steps.match)
	s.lines = append(s.lines, gated...)
	s.add("steps:")
	for _, step := range steps.lines {
		s.add("  - %s", step)
	}
	im.dropped(canary)
}

// dropped are options of the canary that have no place here.
func (im *importing) dropped(canary *node) {
	im.each(canary, false, map[string]string{
		"canaryService":         "the canary gets a Service of its own, and loses it again",
		"stableMetadata":        "the canary's pods carry a changed label; stable's are not touched",
		"canaryMetadata":        "the canary's pods carry a changed label",
		"dynamicStableScale":    "stable keeps its size until the commit, so that going back takes no time",
		"scaleDownDelaySeconds": "old pods go once they get no requests any more, after traffic.drain",
		"minPodsPerReplicaSet":  "there is at least one pod of each",
	})
	im.each(canary, true, map[string]string{
		"antiAffinity":               "write it into the Deployment's template",
		"abortScaleDownDelaySeconds": "a canary that failed is removed after its drain; the report has its evidence",
		"pingPong":                   "there is no router for load balancers that need it",
		"replicaProgressThreshold":   "all pods that a weight needs must be ready before it is set",
	})
}

// steps are those of a canary, and the match that stands among them.
type steps struct {
	lines  []string
	match  []string
	last   float64
	router route
}

func (im *importing) steps(list *node, r route) *steps {
	out := &steps{last: -1, router: r}
	for _, step := range list.list() {
		for _, key := range step.names() {
			im.step(out, key, step.get(key))
		}
	}
	if out.last <= 0 && len(out.match) == 0 || out.last < 0 {
		im.lost(list, "no step gives the canary a share of the traffic; setWeight: 20%% stands in its place")
		out.lines = append([]string{"setWeight: 20%"}, out.lines...)
	}
	return out
}

func (im *importing) step(out *steps, key string, n *node) {
	add := func(format string, args ...any) {
		if out.last < 0 {
			im.lost(n, "before the first setWeight there is nothing that could be waited for or judged")
			return
		}
		out.lines = append(out.lines, fmt.Sprintf(format, args...))
	}
	switch key {
	case "setWeight":
		w, ok := n.number()
		switch {
		case !ok || w < 0 || w > 100:
			im.lost(n, "it is no percentage")
		case w <= out.last && !(w == 0 && out.last < 0) || w == 0 && len(out.match) == 0:
			im.lost(n, "weights only go up; a rollback goes back by itself")
		default:
			out.last = w
			out.lines = append(out.lines, "setWeight: "+strconv.FormatFloat(w, 'f', -1, 64)+"%")
		}
	case "pause":
		d, given := duration(n.get("duration"))
		switch {
		case n.get("duration").there() && !given:
			im.lost(n, "its duration cannot be read")
		case given && d > 0:
			add("pause: %s", source.FormatDuration(d))
		default:
			im.lost(n, "it waits for a person; a run in CI goes on by itself: the gate decides, after %s", source.FormatDuration(stands))
			add("pause: %s", source.FormatDuration(stands))
		}
	case "setCanaryScale":
		im.scale(n, add)
	case "analysis":
		if gate, d := im.analysis(n); gate != "" {
			add("{gate: %s, for: %s}", quote(gate), source.FormatDuration(d))
		}
	case "setHeaderRoute":
		im.headers(out, n)
	case "setMirrorRoute":
		im.lost(n, "no router here copies requests")
	case "experiment":
		im.lost(n, "there is no third track beside stable and canary; a gate that compares (errorRate: {compare: stable}) answers most of what experiments are for")
	case "plugin":
		im.lost(n, "plugins of Argo Rollouts cannot be run; a run stage before or after runs any command")
	default:
		im.lost(n, "Headgate has no such step")
	}
}

func (im *importing) scale(n *node, add func(format string, args ...any)) {
	switch {
	case n.get("replicas").there():
		if r, ok := n.get("replicas").number(); ok && r >= 1 && r == float64(int(r)) {
			add("setCanaryScale: {replicas: %d}", int(r))
			return
		}
	case n.get("weight").there():
		if w, ok := n.get("weight").number(); ok && w > 0 && w <= 100 {
			add("setCanaryScale: {weight: %s%%}", strconv.FormatFloat(w, 'f', -1, 64))
			return
		}
	case n.get("matchTrafficWeight").text() == "true":
		add("setCanaryScale: {matchTrafficWeight: true}")
		return
	}
	im.lost(n, "it cannot be read, or asks for no pods at all")
}

// headers reads a header route, which here holds from the first step on.
func (im *importing) headers(out *steps, n *node) {
	n.get("name").use()
	for _, m := range n.get("match").list() {
		header, value := m.get("headerName").text(), m.get("headerValue").get("exact").text()
		switch {
		case header == "" || value == "" || !clean(header+value):
			im.lost(m, "only a header with an exact value can be matched")
			continue
		case out.router.matches == 0:
			im.lost(m, "%s cannot match headers", out.router.key)
			continue
		case out.router.matches == len(out.match):
			im.lost(m, "%s can match %d header only", out.router.key, out.router.matches)
			continue
		case out.last < 0:
			out.last = 0
			out.lines = append(out.lines, "setWeight: 0%")
		}
		out.match = append(out.match, fmt.Sprintf("{header: %s, value: %s}", quote(header), quote(value)))
		im.tell(m, "holds from the first step of the canary to its end")
	}
}

// duration reads seconds, as a number or text, or text with a unit.
func duration(n *node) (time.Duration, bool) {
	s := strings.TrimSpace(n.text())
	if s == "" {
		return 0, false
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if f < 0 || f > 1e8 || f != f {
			return 0, false
		}
		return time.Duration(f * float64(time.Second)).Round(time.Millisecond), true
	}
	d, err := time.ParseDuration(s)
	return d.Round(time.Millisecond), err == nil && d >= 0 && d < 1e8*time.Second
}
