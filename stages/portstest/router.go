package portstest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/stages"
)

// RouterFixture is a world with one route in it, all of whose traffic goes to
// stable; both tracks are up.
type RouterFixture struct {
	Router stages.Router
	// State describes the route as users wrote it, so that two states can be
	// compared.
	State func(t *testing.T) string
	// SetByOther makes somebody else give the new track a share.
	SetByOther func(t *testing.T, weight float64)
	// EditByOther makes somebody else change a part of the route that is not
	// the router's, and makes no difference to State's callers but that.
	EditByOther func(t *testing.T)
	// RemoveCanary takes the new track away, as if it had died.
	RemoveCanary func(t *testing.T)
	// Fractions says that weights below 1 % can be set.
	Fractions bool
	// AllOrNothing says that a track gets all traffic or none, and that every
	// other weight is refused. SetByOther then takes the traffic from both
	// tracks, which is all that somebody else can do to such a route.
	AllOrNothing bool
	// Size gives the new track the pods that a weight asks for, and waits for
	// them; with 0 it takes them away. The suite calls it as whoever rolls out
	// does: before a weight is set, and after the route was put back. Nil where
	// the router does not need it, see [stages.Sizer].
	Size func(t *testing.T, weight float64)
	// Patience bounds every wait of the suite.
	Patience time.Duration
}

type routerCase struct {
	RouterFixture
	t   *testing.T
	ctx context.Context
}

// Router runs the suite; newFixture makes a fresh world for each case.
func Router(t *testing.T, newFixture func(t *testing.T) RouterFixture) {
	cases := []struct {
		name string
		run  func(c routerCase)
	}{
		{"WeightIsZeroAtFirst", routerCase.zero},
		{"SetWeightIsReadBack", routerCase.steps},
		{"SetWeightTwiceIsSettingItOnce", routerCase.twice},
		{"FractionsArePrecise", routerCase.fractions},
		{"ForeignWeightIsReportedAndKept", routerCase.drift},
		{"UnrelatedEditIsKept", routerCase.edited},
		{"RestoreLeavesNoTrace", routerCase.restore},
		{"RestoreTwiceIsRestoringOnce", routerCase.restoreTwice},
		{"RestoreIgnoresDrift", routerCase.restoreDrift},
		{"RestoreWorksWithoutTheCanary", routerCase.restoreAlone},
		{"RestoreOfNothingChangesNothing", routerCase.restoreNothing},
		{"RestoreRefusesAnotherSnapshot", routerCase.wrongSnapshot},
		{"EndedContextChangesNothing", routerCase.cancelled},
		{"NonsenseWeightsAreRefused", routerCase.nonsense},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := context.WithTimeout(t.Context(), f.Patience)
			defer cancel()
			c.run(routerCase{f, t, ctx})
		})
	}
}

// near is the weight that stands for w with a router that cannot split.
func (c routerCase) near(w float64) float64 {
	if c.AllOrNothing && w > 0 {
		return 100
	}
	return w
}

func (c routerCase) size(weight float64) {
	c.t.Helper()
	if c.Size != nil {
		c.Size(c.t, weight)
	}
}

func (c routerCase) set(from, to float64) {
	c.t.Helper()
	from, to = c.near(from), c.near(to)
	if to > 0 {
		c.size(to)
	}
	if err := c.Router.SetWeight(c.ctx, from, to); err != nil {
		c.t.Fatalf("SetWeight(%v, %v): %v", from, to, err)
	}
	if to == 0 {
		c.size(to)
	}
	c.is(to)
}

func (c routerCase) is(want float64) {
	c.t.Helper()
	got, err := c.Router.Weight(c.ctx)
	if err != nil {
		c.t.Fatalf("Weight: %v", err)
	}
	if math.Abs(got-want) > 0.01 {
		c.t.Errorf("Weight = %v, want %v", got, want)
	}
}

func (c routerCase) snapshot() json.RawMessage {
	c.t.Helper()
	s, err := c.Router.Snapshot(c.ctx)
	if err != nil {
		c.t.Fatalf("Snapshot: %v", err)
	}
	if !json.Valid(s) {
		c.t.Fatalf("Snapshot is no JSON: %s", s)
	}
	return s
}

func (c routerCase) restored(s json.RawMessage) {
	c.t.Helper()
	if err := c.Router.Restore(c.ctx, s); err != nil {
		c.t.Fatalf("Restore: %v", err)
	}
	c.size(0)
}

func (c routerCase) same(want string) {
	c.t.Helper()
	if got := c.State(c.t); got != want {
		c.t.Errorf("the route is\n%s\nwant\n%s", got, want)
	}
}

func (c routerCase) zero() { c.is(0) }

func (c routerCase) steps() {
	last := 0.0
	for _, w := range []float64{20, 40, 60, 80, 100, 50, 0} {
		c.set(last, w)
		last = w
	}
}

func (c routerCase) twice() {
	c.set(0, 20)
	state := c.State(c.t)
	c.set(0, 20) // The call of before, made again after a crash.
	c.set(20, 20)
	c.same(state)
}

func (c routerCase) fractions() {
	if !c.Fractions {
		c.t.Skip("this router sets whole weights only; it says so when the file is checked")
	}
	c.set(0, 0.5)
	c.set(0.5, 33.33)
	c.set(33.33, 99.9)
}

func (c routerCase) drift() {
	c.set(0, 20)
	c.size(40)
	c.SetByOther(c.t, 50)
	state := c.State(c.t)
	err := c.Router.SetWeight(c.ctx, c.near(20), c.near(40))
	var d *stages.DriftError
	if !errors.As(err, &d) {
		c.t.Fatalf("SetWeight: got %v, want a DriftError", err)
	}
	if d.Thing == "" || d.Found == "" || d.Want == "" {
		c.t.Errorf("the error does not say everything: %+v", d)
	}
	c.same(state)
}

func (c routerCase) edited() {
	before := c.snapshot()
	c.set(0, 20)
	c.EditByOther(c.t)
	c.set(20, 40)
	c.restored(before)
	c.is(0)
	got := c.State(c.t)
	c.EditByOther(c.t) // Sets a value, so that doing it again shows whether it was kept.
	c.same(got)
}

func (c routerCase) restore() {
	state, before := c.State(c.t), c.snapshot()
	c.set(0, 20)
	c.set(20, 100)
	c.restored(before)
	c.same(state)
	c.is(0)
}

func (c routerCase) restoreTwice() {
	state, before := c.State(c.t), c.snapshot()
	c.set(0, 50)
	c.restored(before)
	c.restored(before)
	c.same(state)
}

func (c routerCase) restoreDrift() {
	state, before := c.State(c.t), c.snapshot()
	c.set(0, 20)
	c.SetByOther(c.t, 70)
	c.restored(before)
	c.same(state)
}

func (c routerCase) restoreAlone() {
	state, before := c.State(c.t), c.snapshot()
	c.set(0, 50)
	c.RemoveCanary(c.t)
	c.restored(before)
	c.same(state)
}

func (c routerCase) restoreNothing() {
	state, before := c.State(c.t), c.snapshot()
	c.restored(before)
	c.same(state)
}

func (c routerCase) wrongSnapshot() {
	state := c.State(c.t)
	for _, s := range []string{``, `null`, `{}`, `[]`, `{"router":"other"}`, `"x"`} {
		if err := c.Router.Restore(c.ctx, json.RawMessage(s)); err == nil {
			c.t.Errorf("Restore(%s) is no error", s)
		}
	}
	c.same(state)
}

func (c routerCase) cancelled() {
	state, before := c.State(c.t), c.snapshot()
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	if err := c.Router.SetWeight(ctx, 0, c.near(20)); err == nil {
		c.t.Error("SetWeight with an ended context is no error")
	}
	if err := c.Router.Restore(ctx, before); err == nil {
		c.t.Error("Restore with an ended context is no error")
	}
	c.same(state)
}

func (c routerCase) nonsense() {
	state := c.State(c.t)
	weights := []float64{-1, 101, math.NaN(), math.Inf(1)}
	if c.AllOrNothing {
		weights = append(weights, 0.5, 50, 99)
	}
	for _, w := range weights {
		if err := c.Router.SetWeight(c.ctx, 0, w); err == nil {
			c.t.Errorf("SetWeight(0, %v) is no error", w)
		}
	}
	c.same(state)
	if c.Router.Name() == "" {
		c.t.Error("the router has no name")
	}
}
