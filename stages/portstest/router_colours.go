package portstest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// ColoursFixture is a world with a route between two colours, the old one of
// which has all traffic.
type ColoursFixture struct {
	RouterFixture
	// Back is the router of the same route for the way back.
	Back func(t *testing.T) stages.Router
}

type coloursCase struct {
	routerCase
	back stages.Router
}

// RouterColours runs the suite of routers that can switch between colours;
// newFixture makes a fresh world for each case.
func RouterColours(t *testing.T, newFixture func(t *testing.T) ColoursFixture) {
	cases := []struct {
		name string
		run  func(c coloursCase)
	}{
		{"WeightIsReadFromBothSides", coloursCase.bothSides},
		{"SwitchBackIsASwitch", coloursCase.switchBack},
		{"SettledIsStillNew", coloursCase.settled},
		{"SettleTwiceIsSettlingOnce", coloursCase.settleTwice},
		{"SettleNeedsAllTraffic", coloursCase.settleEarly},
		{"SettledCanBePutBack", coloursCase.settledBack},
		{"NextReleaseComesAfterSettling", coloursCase.next},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := context.WithTimeout(t.Context(), f.Patience)
			defer cancel()
			c.run(coloursCase{routerCase{f.RouterFixture, t, ctx}, f.Back(t)})
		})
	}
}

// other is the case seen from the other side.
func (c coloursCase) other() routerCase {
	o := c.routerCase
	o.Router = c.back
	return o
}

func (c coloursCase) bothSides() {
	c.is(0)
	c.other().is(100)
	c.set(0, 100)
	c.other().is(0)
}

func (c coloursCase) switchBack() {
	c.set(0, 100)
	c.other().set(0, 100)
	c.is(0)
}

// settle settles on the new colour, where the router has anything to settle.
func (c coloursCase) settle() {
	c.t.Helper()
	if s, ok := c.Router.(stages.Settler); ok {
		if err := s.Settle(c.ctx); err != nil {
			c.t.Fatalf("Settle: %v", err)
		}
	}
}

// switched is a finished switch; it returns the route of before.
func (c coloursCase) switched() (before json.RawMessage) {
	c.t.Helper()
	before = c.snapshot()
	c.set(0, 100)
	c.settle()
	return before
}

func (c coloursCase) settled() {
	c.switched()
	c.is(100)
	c.other().is(0)
}

func (c coloursCase) settleTwice() {
	c.switched()
	state := c.State(c.t)
	c.settle()
	c.same(state)
}

func (c coloursCase) settleEarly() {
	s, ok := c.Router.(stages.Settler)
	if !ok {
		return // Nothing can come too early.
	}
	state := c.State(c.t)
	var d *stages.DriftError
	if err := s.Settle(c.ctx); !errors.As(err, &d) {
		c.t.Errorf("Settle: got %v, want a DriftError", err)
	}
	c.same(state)
}

func (c coloursCase) settledBack() {
	state := c.State(c.t)
	before := c.switched()
	c.restored(before)
	c.is(0)
	c.same(state)
}

func (c coloursCase) next() {
	c.switched()
	o := coloursCase{c.other(), c.Router}
	o.switched()
	o.is(100)
	c.is(0)
}
