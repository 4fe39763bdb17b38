package stages_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

const (
	rollingFile = `version: 1
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
    rolling:
      deployment: user-service
      image: shop/user@sha256:new
      gate: slo
      bake: 5m
`
	canaryFile = `version: 1
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
    canary:
      deployment: user-service
      image: shop/user@sha256:new
      traffic: {httpRoute: user-service, drain: 5s}
      steps: [{setWeight: 20%}, {setCanaryScale: {weight: 60%}}, {pause: 5m}, {setWeight: 50%}, {pause: 5m}]
      gate: slo
`
)

var countingFile = strings.Replace(canaryFile, "httpRoute: user-service", "replicas: true", 1)

// strategy is a way to roll out, and how the town ends with it.
type strategy struct {
	name, file string
	town       func() *town
	old, new   func(w *town) error
}

func expect(what string, ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s is not as it should be", what)
}

// stableIs checks that one Deployment has all traffic, and that nothing is left.
func stableIs(image string) func(w *town) error {
	return func(w *town) error {
		u := w.units[stableAt]
		return expect("stable", len(w.units) == 1 && u != nil && u.Image == image && u.Ready >= w.need && !u.fast && w.routes[mainRoute][canaryAt] == 0)
	}
}

// autoscaled gives a town autoscalers that would take pods away if they could.
func autoscaled(places ...string) *town {
	w := newTown(places...)
	for _, at := range places {
		w.hpas[at] = hpaOf(at)
	}
	return w
}

var strategies = []strategy{
	{"rolling", rollingFile, func() *town { return newTown(stableAt) }, stableIs(oldImage), stableIs(newImage)},
	{"canary", canaryFile, func() *town { return newTown(stableAt) }, stableIs(oldImage), stableIs(newImage)},
	{"canary, autoscaled", canaryFile, func() *town { return autoscaled(stableAt) }, letGo(stableIs(oldImage)), letGo(stableIs(newImage))},
	{"canary by numbers", countingFile, func() *town { w := newTown(stableAt); w.counting = true; return w }, stableIs(oldImage), stableIs(newImage)},
	{"blue/green", shown, func() *town { return newTown(blueAt) }, coloursAre(false, 0), coloursAre(true, 0)},
	{"blue/green in steps, autoscaled", stepped + "      keepOld: 2m\n      idleReplicas: 1\n", func() *town {
		w := autoscaled(blueAt)
		w.units[greenAt] = &unit{Image: "shop/user@sha256:older", Replicas: 1, Ready: 1, Version: 1}
		w.hpas[greenAt] = hpaOf(greenAt)
		return w
	}, letGo(coloursAre(false, 1)), letGo(coloursAre(true, 1))},
}

func letGo(also func(w *town) error) func(w *town) error {
	return func(w *town) error {
		for at, a := range w.hpas {
			if a.Min != 1 {
				return fmt.Errorf("the autoscaler of %s is held at %d", at, a.Min)
			}
		}
		return also(w)
	}
}

// coloursAre checks which colour has the traffic, and how many pods the other
// one has been left.
func coloursAre(green bool, idle int) func(w *town) error {
	return func(w *town) error {
		active, other, image := blueAt, greenAt, oldImage
		if green {
			active, other, image = greenAt, blueAt, newImage
		}
		u, o := w.units[active], w.units[other]
		if err := expect("the active colour", u != nil && u.Image == image && u.Ready >= w.need); err != nil {
			return err
		}
		if err := expect("the route", w.routes[mainRoute][active] == 100 && w.routes[mainRoute][other] == 0 && (green || w.routes[previewer][other] == 0)); err != nil {
			return err
		}
		if o == nil {
			return expect("the idle colour", !green && idle == 0)
		}
		return expect("the idle colour", o.Replicas == idle && o.Image != newImage)
	}
}

// TestDeathAtEveryMoment ends the process at every write to the journal and to
// the world, before it has had its effect and after, and lets another process
// go on, or put back. It must end in exactly old or new, with users well all
// the while.
func TestDeathAtEveryMoment(t *testing.T) {
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, bad := range []bool{false, true} {
				points := 0
				synctest.Test(t, func(t *testing.T) { points = s.outlive(t, death{bad: bad}) })
				for at := 1; at <= points; at++ {
					for i, d := range []death{{bad, at, false, false}, {bad, at, true, false}, {bad, at, false, true}, {bad, at, true, true}} {
						if (at+i)%every() != 0 {
							continue
						}
						synctest.Test(t, func(t *testing.T) { s.outlive(t, d) })
						if t.Failed() {
							t.Fatalf("%+v", d)
						}
					}
				}
			}
		})
	}
}

// every says which share of the deaths is dealt: one of so many, in turn. All
// of them are dealt with HEADGATE_FAULTS=all.
func every() int {
	if os.Getenv("HEADGATE_FAULTS") == "all" {
		return 1
	}
	return 4
}

// death is when the first process ends, and what the second one does.
type death struct {
	bad     bool
	at      int
	after   bool
	recover bool
}

// outlive goes through one death and returns how many moments there were.
func (s strategy) outlive(t *testing.T, d death) int {
	t.Helper()
	w := s.town()
	if d.bad {
		w.errors = badNew(50)
		if strings.Contains(s.file, "rolling:") {
			w.errors = badNew(0)
		}
	}
	o := &outing{file: s.file}
	first := &life{dieAt: d.at, after: d.after}
	result := w.live(t.Context(), t, o, first)
	if first.dead {
		time.Sleep(time.Second)
		o.recover = d.recover
		result = w.live(t.Context(), t, o, &life{})
	}
	isNew := s.new(w)
	switch {
	case result.Ending == pipeline.Delivered && isNew == nil && !d.bad:
	case result.Ending == pipeline.FailedRolledBack && s.old(w) == nil && (d.bad || d.recover):
	case result.Ending == pipeline.Delivered && s.old(w) == nil && result.Reason == "nothing is unfinished":
	default:
		t.Errorf("%+v: ended %+v\nas new: %v\nas old: %v\nunits %v\nroutes %v\n%s", d, result, isNew, s.old(w), w.describe(), w.routes, strings.Join(w.log, "\n"))
	}
	for _, wrong := range w.wrong {
		t.Errorf("%+v: %s\n%s", d, wrong, strings.Join(w.log, "\n"))
	}
	return first.n
}

func (w *town) describe() string {
	var b strings.Builder
	for at, u := range w.units {
		fmt.Fprintf(&b, "%s %+v; ", at, *u)
	}
	for at, a := range w.hpas {
		fmt.Fprintf(&b, "%s min %d; ", at, a.Min)
	}
	return b.String()
}
