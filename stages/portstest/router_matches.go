package portstest

import (
	"context"
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// MatchesFixture is a world with a router that sends some requests to the new
// track whatever its weight.
type MatchesFixture struct {
	RouterFixture
	// Matched reports whether the route sends them there now.
	Matched func(t *testing.T) bool
	// Again makes the router anew, as a second process does.
	Again func(t *testing.T) stages.Router
	// Unmatch makes somebody else take away what sends them there.
	Unmatch func(t *testing.T)
}

type matchesCase struct {
	routerCase
	MatchesFixture
}

// RouterMatches runs the suite of routers that can match requests; newFixture
// makes a fresh world for each case.
func RouterMatches(t *testing.T, newFixture func(t *testing.T) MatchesFixture) {
	cases := []struct {
		name string
		run  func(c matchesCase)
	}{
		{"MatchesComeBeforeAnyWeight", matchesCase.beforeAnyWeight},
		{"MatchesStayWithEveryWeight", matchesCase.everyWeight},
		{"MatchesTwiceAreMatchesOnce", matchesCase.twice},
		{"MatchesAreFoundBySecondProcess", matchesCase.secondProcess},
		{"MatchesTakenAwayAreReported", matchesCase.takenAway},
		{"MatchesSurviveUnrelatedEdits", matchesCase.edited},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := context.WithTimeout(t.Context(), f.Patience)
			defer cancel()
			c.run(matchesCase{routerCase{f.RouterFixture, t, ctx}, f})
		})
	}
}

func (c matchesCase) matched(want bool) {
	c.t.Helper()
	if got := c.Matched(c.t); got != want {
		c.t.Errorf("requests are matched: %v, want %v; the route is\n%s", got, want, c.routerCase.State(c.t))
	}
}

func (c matchesCase) beforeAnyWeight() {
	c.matched(false)
	state, before := c.routerCase.State(c.t), c.snapshot()
	c.set(0, 0)
	c.matched(true)
	c.restored(before)
	c.matched(false)
	c.same(state)
}

func (c matchesCase) everyWeight() {
	state, before := c.routerCase.State(c.t), c.snapshot()
	last := 0.0
	for _, w := range []float64{20, 100, 0} {
		c.set(last, w)
		c.matched(true)
		last = w
	}
	c.restored(before)
	c.matched(false)
	c.same(state)
}

func (c matchesCase) twice() {
	c.set(0, 20)
	state := c.routerCase.State(c.t)
	c.set(0, 20)
	c.set(20, 20)
	c.same(state)
}

func (c matchesCase) secondProcess() {
	state, before := c.routerCase.State(c.t), c.snapshot()
	c.set(0, 20)
	with := c.routerCase.State(c.t)
	c.routerCase.Router = c.Again(c.t)
	c.is(20)
	c.set(20, 20)
	c.same(with)
	c.set(20, 40)
	c.restored(before)
	c.same(state)
}

func (c matchesCase) takenAway() {
	c.set(0, 20)
	c.Unmatch(c.t)
	var d *stages.DriftError
	if err := c.routerCase.Router.SetWeight(c.ctx, 20, 40); !errors.As(err, &d) {
		c.t.Errorf("SetWeight: got %v, want a DriftError", err)
	}
}

func (c matchesCase) edited() {
	before := c.snapshot()
	c.set(0, 20)
	c.routerCase.EditByOther(c.t)
	c.set(20, 40)
	c.matched(true)
	c.restored(before)
	c.matched(false)
	c.is(0)
}
