package portstest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// Restorer runs the cases of platforms that are a [stages.Restorer].
func Restorer(t *testing.T, newFixture func(t *testing.T) PlatformFixture) {
	runCases(t, newFixture, []namedCase{
		{"RestoredWorkloadIsWhatItWas", platformCase.restored},
		{"BrokenReleaseIsPutBack", platformCase.restoredFromBroken},
		{"RestoringInAHurryRestoresToo", platformCase.restoredInAHurry},
		{"RestoringWhatWasMissingRemovesIt", platformCase.restoredToNothing},
		{"RestoringDoesNotShrinkStable", platformCase.restoredLarger},
		{"SavingChangesNothing", platformCase.saveChangesNothing},
		{"WhatIsNoSaveIsRefused", platformCase.restoreNonsense},
	})
}

func (c platformCase) restorer() stages.Restorer {
	c.t.Helper()
	r, ok := c.Platform.(stages.Restorer)
	if !ok {
		c.t.Fatalf("%T is no stages.Restorer", c.Platform)
	}
	return r
}

func (c platformCase) save(t stages.Track, r stages.Release) json.RawMessage {
	c.t.Helper()
	was, err := c.restorer().SaveTrack(c.ctx, t, r)
	if err != nil || len(was) == 0 {
		c.t.Fatalf("SaveTrack(%s): %q, %v", t, was, err)
	}
	return was
}

func (c platformCase) restore(was json.RawMessage, hurry bool) {
	c.t.Helper()
	if err := c.restorer().RestoreTrack(c.ctx, was, hurry); err != nil {
		c.t.Fatalf("RestoreTrack(%v): %v", hurry, err)
	}
}

func (c platformCase) restored() {
	before, state, stable := c.live(c.Workload), c.State(c.t), c.track(stages.Stable)
	was := c.save(stable, c.New)
	c.set(stable, c.New, -1)
	c.ready(stable, c.Replicas)
	c.runs(stable, c.New.Image, c.Replicas)
	for range 2 { // A run may die after the first.
		c.restore(was, false)
		c.runs(stable, c.Old.Image, c.Replicas)
		c.runs(stable, c.New.Image, 0)
	}
	if after := c.live(c.Workload); after.Version != before.Version || after.Replicas != before.Replicas {
		c.t.Errorf("Live = %+v after it was put back, was %+v", after, before)
	}
	c.soon("after it was put back", state)
}

func (c platformCase) restoredFromBroken() {
	stable := c.track(stages.Stable)
	was := c.save(stable, c.Broken)
	c.set(stable, c.Broken, -1)
	if err := c.Platform.AwaitReady(c.ctx, stable, c.Replicas, func(string) {}); !errors.Is(err, stages.ErrNotReady) {
		c.t.Fatalf("AwaitReady: got %v, want not ready", err)
	}
	c.restore(was, false)
	c.runs(stable, c.Old.Image, c.Replicas)
}

func (c platformCase) restoredInAHurry() {
	stable := c.track(stages.Stable)
	was := c.save(stable, c.New)
	c.set(stable, c.New, -1)
	c.restore(was, true)
	if l := c.live(c.Workload); l.ImageFor(c.Old) != c.Old.Image {
		c.t.Errorf("Live = %+v, want %s", l, c.Old.Image)
	}
	c.ready(stable, c.Replicas)
	c.runs(stable, c.Old.Image, c.Replicas)
}

func (c platformCase) restoredToNothing() {
	before := c.State(c.t)
	stable := stages.Track{Workload: c.Missing, Name: stages.Stable}
	was := c.save(stable, c.First)
	c.set(stable, c.First, 1)
	c.ready(stable, 1)
	c.restore(was, false)
	c.soon("after what was missing was put back", before)
	c.restore(was, false)
}

func (c platformCase) restoredLarger() {
	stable := c.track(stages.Stable)
	was := c.save(stable, c.New)
	c.set(stable, c.New, c.Replicas+1) // As an autoscaler may.
	c.ready(stable, c.Replicas+1)
	c.restore(was, false)
	c.runs(stable, c.Old.Image, c.Replicas+1)
}

func (c platformCase) saveChangesNothing() {
	before, state := c.live(c.Workload), c.State(c.t)
	c.save(c.track(stages.Stable), c.New)
	c.save(stages.Track{Workload: c.Missing, Name: stages.Stable}, c.First)
	if after := c.live(c.Workload); after.Version != before.Version {
		c.t.Errorf("Live = %+v, was %+v", after, before)
	}
	if got := c.State(c.t); got != state {
		c.t.Errorf("the state is\n%s\nwant\n%s", got, state)
	}
}

func (c platformCase) restoreNonsense() {
	state := c.State(c.t)
	for _, was := range []string{``, `{}`, `[]`, `null`, `{"track":{}}`} {
		if err := c.restorer().RestoreTrack(c.ctx, json.RawMessage(was), false); err == nil {
			c.t.Errorf("RestoreTrack(%q) is no error", was)
		}
	}
	if got := c.State(c.t); got != state {
		c.t.Errorf("the state is\n%s\nwant\n%s", got, state)
	}
}
