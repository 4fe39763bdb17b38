package stages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

const argoFile = `version: 1
name: user-service
gates:
  slo:
    every: 10s
    window: 1m
    checks:
      - query: 'errors{${{ selector }}}'
        max: 0.05
stages:
  - name: rollout
    argoRollout: {rollout: rollout/user-service, image: shop/user@sha256:new, gate: slo, readyTimeout: 2m}
`

// argoCity is a Rollout and a controller that takes a second for each thing.
type argoCity struct {
	*city
	now   stages.ArgoRollout
	asked []string
	// meddle, when set, is called before every look.
	meddle func(c *argoCity)
}

func argoTemplate(image string) json.RawMessage {
	return json.RawMessage(`{"spec":{"containers":[{"name":"user","image":"` + image + `"}]}}`)
}

func newArgoCity() *argoCity {
	c := &argoCity{city: newCity()}
	c.now = stages.ArgoRollout{
		Workload: stages.Workload{Namespace: "shop", Name: "user-service"}, Exists: true, Observed: true,
		Steps:    []stages.ArgoStep{{Text: "setWeight 50"}, {Text: "pause", Pause: true}, {Text: "setWeight 80"}, {Text: "pause 5s", Pause: true, For: 5 * time.Second}},
		Template: argoTemplate("shop/user@sha256:old"), Images: map[string]string{"user": "shop/user@sha256:old"},
		Replicas: 4, Ready: 4, Available: 4, Phase: stages.ArgoHealthy, Step: 4, New: "old", Stable: "old", Weight: 100,
		NewPods: `track="stable"`, StablePods: `track="stable"`,
	}
	return c
}

// reconcile is one turn of the controller.
func (c *argoCity) reconcile() {
	n := &c.now
	image := "new"
	if strings.Contains(string(n.Template), ":old") {
		image = "old"
	}
	switch {
	case !n.Observed:
		n.Observed, n.New, n.Aborted, n.PromoteFull, n.Pauses, n.Step, n.Weight = true, image, false, false, nil, 0, 0
		n.Phase, n.NewPods = stages.ArgoProgressing, `track="canary"`
		if n.New == n.Stable {
			n.Step = len(n.Steps)
		}
	case n.Aborted:
		n.Phase, n.Weight = stages.ArgoDegraded, 0
	case n.New == n.Stable || n.PromoteFull || n.Step == len(n.Steps):
		n.Stable, n.Phase, n.Step, n.Weight, n.PromoteFull = n.New, stages.ArgoHealthy, len(n.Steps), 100, false
	case len(n.Pauses) > 0 && n.Steps[n.Step].For == 0:
	case n.Steps[n.Step].Pause && len(n.Pauses) == 0 && n.Phase != stages.ArgoPaused:
		n.Pauses, n.Phase = []string{stages.ArgoCanaryPause}, stages.ArgoPaused
	default:
		if n.Step == 0 || n.Step == 2 {
			n.Weight = []float64{50, 0, 80}[n.Step]
		}
		n.Pauses, n.Phase = nil, stages.ArgoProgressing
		n.Step++
	}
	c.weight = 0 // The prometheus of the city knows tracks by name.
	c.tracks[stages.Canary] = &fakeTrack{image: "shop/user@sha256:new", replicas: 4, ready: 4}
}

func (c *argoCity) Read(ctx context.Context, _ stages.Workload) (stages.ArgoRollout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, ctx.Err()
}

func (c *argoCity) Follow(ctx context.Context, _ stages.Workload, see func(stages.ArgoRollout) (bool, error)) error {
	for {
		c.mu.Lock()
		if c.meddle != nil {
			c.meddle(c)
		}
		now := c.now
		c.mu.Unlock()
		if done, err := see(now); done || err != nil {
			return err
		}
		if err := (pipeline.RealClock{}).Sleep(ctx, time.Second); err != nil {
			return err
		}
		c.mu.Lock()
		c.reconcile()
		c.mu.Unlock()
	}
}

func (c *argoCity) SetTemplate(ctx context.Context, _ stages.Workload, from, to json.RawMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case stages.SameTemplate(c.now.Template, to):
		return nil
	case !stages.SameTemplate(c.now.Template, from):
		return &stages.DriftError{Thing: "rollout", By: c.now.By}
	}
	c.asked = append(c.asked, "template")
	c.now.Template, c.now.Observed = to, false
	return nil
}

func (c *argoCity) SetStatus(ctx context.Context, _ stages.ArgoRollout, change stages.ArgoChange) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.asked = append(c.asked, change.String())
	switch change {
	case stages.ArgoPromote:
		c.now.Pauses = nil
	case stages.ArgoPromoteFull:
		c.now.PromoteFull = true
	case stages.ArgoAbort:
		c.now.Aborted = true
	case stages.ArgoReset:
		c.now.Aborted, c.now.PromoteFull = false, false
	case stages.ArgoNudge:
	}
	return nil
}

func (c *argoCity) Selector(stages.Workload) string { return `track="stable"` }

// argoPlatform is the city's platform with Rollouts.
type argoPlatform struct {
	platform
	rollouts *argoCity
}

func (p argoPlatform) Rollouts() stages.ArgoRollouts { return p.rollouts }

func (c *argoCity) run(t *testing.T) (pipeline.Result, *recorder) {
	t.Helper()
	parts := c.parts()
	parts.Platform = argoPlatform{platform{c.city}, c}
	return releaseWith(t.Context(), t, argoFile, parts, &memoryStore{})
}

func (c *argoCity) is(t *testing.T, image string, asked ...string) {
	t.Helper()
	if !stages.SameTemplate(c.now.Template, argoTemplate("shop/user@sha256:"+image)) {
		t.Errorf("the template is %s, want that of %s", c.now.Template, image)
	}
	if c.now.Aborted || c.now.PromoteFull || c.now.Phase != stages.ArgoHealthy || c.now.Stable != image {
		t.Errorf("the Rollout is %+v", c.now)
	}
	if got := strings.Join(c.asked, ", "); got != strings.Join(asked, ", ") {
		t.Errorf("asked for %s, want %s", got, strings.Join(asked, ", "))
	}
}

func TestArgoPausesArePromotedByTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newArgoCity()
		result, rec := c.run(t)
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v, want delivered", result)
		}
		c.is(t, "new", "template", "promote")
		if !rec.has(pipeline.TrafficShifted) {
			t.Error("no weight was told of")
		}
	})
}

func TestArgoGateThatFailsAbortsAndPutsTheTemplateBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newArgoCity()
		c.errors = func(track, _ string, _ float64) float64 {
			if track == stages.Canary {
				return 0.2
			}
			return 0
		}
		result, _ := c.run(t)
		if result.Ending != pipeline.FailedRolledBack || !strings.Contains(result.Reason, "gate slo failed") {
			t.Fatalf("got %+v, want rolled back by the gate", result)
		}
		c.is(t, "old", "template", "abort", "template")
	})
}

func TestArgoNothingIsPromotedWithoutMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newArgoCity()
		c.meddle = func(c *argoCity) { c.noProm = c.now.New == "new" }
		result, _ := c.run(t)
		if result.Ending != pipeline.FailedRolledBack {
			t.Fatalf("got %+v, want rolled back", result)
		}
		c.is(t, "old", "template", "abort", "template")
	})
}

func TestArgoSomebodyElseIsNamed(t *testing.T) {
	cases := []struct {
		name   string
		meddle func(n *stages.ArgoRollout)
		says   string
	}{
		{"aborts", func(n *stages.ArgoRollout) { n.Aborted, n.StatusBy = true, "someone" }, "aborted"},
		{"promotes in full", func(n *stages.ArgoRollout) { n.PromoteFull, n.StatusBy = true, "someone" }, "promoted in full"},
		{"promotes", func(n *stages.ArgoRollout) { n.Pauses, n.StatusBy = nil, "someone" }, "promoted to step"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newArgoCity()
				done := false
				c.meddle = func(c *argoCity) {
					c.noProm = c.now.New == "new" // So that the gate is not content.
					if !done && c.now.Step == 1 && len(c.now.Pauses) > 0 {
						done = len(c.asked) == 1
						if done {
							return
						}
					}
					if done && len(c.asked) == 1 {
						tc.meddle(&c.now)
					}
				}
				result, _ := c.run(t)
				if result.Ending != pipeline.FailedRolledBack || !strings.Contains(result.Reason, "someone") || !strings.Contains(result.Reason, tc.says) {
					t.Fatalf("got %+v, want rolled back because someone %s", result, tc.name)
				}
			})
		})
	}
}

func TestArgoUnfinishedReleaseIsRefused(t *testing.T) {
	var all strings.Builder
	for _, tc := range []struct {
		name   string
		change func(n *stages.ArgoRollout)
	}{
		{"paused by a person", func(n *stages.ArgoRollout) { n.Paused = true }},
		{"aborted", func(n *stages.ArgoRollout) { n.Aborted, n.Message = true, "RolloutAborted" }},
		{"under way", func(n *stages.ArgoRollout) { n.New, n.Phase = "other", stages.ArgoProgressing }},
		{"degraded", func(n *stages.ArgoRollout) { n.Phase, n.Message = stages.ArgoDegraded, "timed out" }},
		{"no controller", func(n *stages.ArgoRollout) { n.Observed = false }},
		{"not there", func(n *stages.ArgoRollout) { n.Exists = false }},
		{"of a Deployment", func(n *stages.ArgoRollout) { n.Ref = "Deployment user-service" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newArgoCity()
				tc.change(&c.now)
				result, _ := c.run(t)
				if result.Ending != pipeline.FailedUnchanged || len(c.asked) > 0 {
					t.Fatalf("got %+v, asked for %q, want nothing changed", result, c.asked)
				}
				fmt.Fprintf(&all, "# %s\n", tc.name)
				for _, f := range result.Findings {
					if !f.Warning {
						fmt.Fprintf(&all, "%s\n  hint: %s\n", f.Message, f.Hint)
					}
				}
			})
		})
	}
	golden.Equal(t, "argorollout.txt", []byte(all.String()))
}

// releaseWith runs a file with parts of its own.
func releaseWith(ctx context.Context, t *testing.T, file string, parts *stages.Parts, store pipeline.Store) (pipeline.Result, *recorder) {
	t.Helper()
	p, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: []byte(file)}, stages.Grammar(parts))
	if problems.HasErrors() {
		t.Fatalf("parse: %v", problems)
	}
	rec := &recorder{}
	r := &pipeline.Runner{
		Pipeline: p, Info: pipeline.Info{ID: "run-1", Pipeline: p.Name, Digest: p.Digest(nil)},
		Store: store, Clock: pipeline.RealClock{}, Sinks: []pipeline.Sink{rec}, Undoers: stages.Undoers(parts),
		Values: pipeline.Values{Vars: p.VarValues()},
	}
	return r.Run(ctx), rec
}
