package portstest

import (
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// Scaler runs the cases of platforms that are a [stages.Scaler].
func Scaler(t *testing.T, newFixture func(t *testing.T) PlatformFixture) {
	runCases(t, newFixture, []namedCase{
		{"AutoscalerIsRead", platformCase.scalerRead},
		{"MinimumIsHeldAndReleased", platformCase.scalerHeld},
		{"MinimumOfSomebodyElseIsLeft", platformCase.scalerDrift},
		{"CanaryOfAnAutoscaledWorkload", platformCase.scalerCanary},
	})
}

func (c platformCase) scaler() stages.Scaler {
	c.t.Helper()
	s, ok := c.Platform.(stages.Scaler)
	if !ok {
		c.t.Fatalf("%T is no stages.Scaler", c.Platform)
	}
	return s
}

func (c platformCase) autoscaler(w stages.Workload) stages.Autoscaler {
	c.t.Helper()
	a, err := c.scaler().Autoscaler(c.ctx, w)
	if err != nil {
		c.t.Fatalf("Autoscaler(%s): %v", w, err)
	}
	return a
}

func (c platformCase) scalerRead() {
	if a := c.autoscaler(c.Scaled); !a.Exists() || a.Min != 1 || a.Max <= c.Replicas || a.Workload != c.Scaled || a.Name == "" {
		c.t.Errorf("Autoscaler = %+v, want one with the minimum 1 and a maximum of more than %d", a, c.Replicas)
	}
	for _, w := range []stages.Workload{c.Workload, c.Missing} {
		if a := c.autoscaler(w); a.Exists() {
			c.t.Errorf("Autoscaler(%s) = %+v, want none", w, a)
		}
	}
}

func (c platformCase) scalerHeld() {
	was := c.autoscaler(c.Scaled)
	minimum := func(from, to int) {
		c.t.Helper()
		if err := c.scaler().SetMinimum(c.ctx, was, from, to); err != nil {
			c.t.Fatalf("SetMinimum(%d, %d): %v", from, to, err)
		}
		if a := c.autoscaler(c.Scaled); a.Min != to || a.Max != was.Max {
			c.t.Errorf("Autoscaler = %+v, want the minimum %d and the maximum %d", a, to, was.Max)
		}
	}
	minimum(1, c.Replicas)
	minimum(1, c.Replicas) // A run may die after the first.
	minimum(c.Replicas, 1)
}

func (c platformCase) scalerDrift() {
	a := c.autoscaler(c.Scaled)
	var drift *stages.DriftError
	if err := c.scaler().SetMinimum(c.ctx, a, 3, 2); !errors.As(err, &drift) {
		c.t.Errorf("SetMinimum from a minimum that it is not: got %v, want a DriftError", err)
	}
	if now := c.autoscaler(c.Scaled); now.Min != 1 {
		c.t.Errorf("Autoscaler = %+v, want the minimum 1", now)
	}
	a.Name += "-gone"
	if err := c.scaler().SetMinimum(c.ctx, a, 1, 2); !errors.As(err, &drift) {
		c.t.Errorf("SetMinimum of one that is gone: got %v, want a DriftError", err)
	}
}

func (c platformCase) scalerCanary() {
	state, before := c.State(c.t), c.autoscaler(c.Scaled)
	canary := stages.Track{Workload: c.Scaled, Name: stages.Canary}
	for _, n := range []int{1, c.Replicas} {
		c.set(canary, c.New, n)
		c.ready(canary, n)
		if now := c.autoscaler(c.Scaled); now != before {
			c.t.Errorf("the autoscaler of stable changed from %+v to %+v", before, now)
		}
	}
	c.set(stages.Track{Workload: c.Scaled, Name: stages.Stable}, c.New, -1)
	c.remove(canary, false)
	c.soon("after the canary was removed", state)
}
