package portstest

import (
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// Colours runs the cases of platforms whose workloads may be two that take
// turns. They must be a [stages.Restorer] and a [stages.Resizer], too.
func Colours(t *testing.T, newFixture func(t *testing.T) PlatformFixture) {
	runCases(t, newFixture, []namedCase{
		{"MissingColourIsMadeFromItsPeer", platformCase.colourMade},
		{"SettingAColourTwiceIsSettingItOnce", platformCase.colourTwice},
		{"NewColourIsRemovedAgain", platformCase.colourRemoved},
		{"SavedMissingColourIsRemovedAgain", platformCase.colourRestoredToNothing},
		{"ColourBecomesTheUsers", platformCase.colourKept},
		{"ColourIsPutBackWithItsSize", platformCase.colourRestored},
		{"BrokenColourIsNotReady", platformCase.colourBroken},
		{"ColourIsResized", platformCase.colourResized},
	})
}

func (c platformCase) blueUntouched(before stages.Live) {
	c.t.Helper()
	c.runs(c.Blue, c.Old.Image, c.Replicas)
	if after := c.live(c.Blue.Workload); after.Version != before.Version || after.Replicas != before.Replicas {
		c.t.Errorf("blue changed from %+v to %+v", before, after)
	}
}

func (c platformCase) colourMade() {
	before := c.live(c.Blue.Workload)
	c.set(c.Green, c.New, c.Replicas)
	c.ready(c.Green, c.Replicas)
	c.runs(c.Green, c.New.Image, c.Replicas)
	c.blueUntouched(before)
	if l := c.live(c.Green.Workload); !l.Exists || l.Replicas != c.Replicas || l.ImageFor(c.New) != c.New.Image {
		c.t.Errorf("Live = %+v, want %d replicas of %s", l, c.Replicas, c.New.Image)
	}
	if a, b := c.Platform.Selector(c.Blue), c.Platform.Selector(c.Green); a == b {
		c.t.Errorf("both colours have the selector %q", a)
	}
}

func (c platformCase) colourTwice() {
	c.set(c.Green, c.New, 1)
	c.ready(c.Green, 1)
	state, before := c.State(c.t), c.live(c.Green.Workload)
	c.set(c.Green, c.New, 1)
	c.ready(c.Green, 1)
	if got, after := c.State(c.t), c.live(c.Green.Workload); got != state || after.Version != before.Version {
		c.t.Errorf("the state is\n%s\n%+v after the second time, and was\n%s\n%+v", got, after, state, before)
	}
}

func (c platformCase) colourRemoved() {
	state, before := c.State(c.t), c.live(c.Blue.Workload)
	c.set(c.Green, c.New, 1)
	c.ready(c.Green, 1)
	c.remove(c.Green, false)
	c.soon("after the new colour was removed", state)
	c.remove(c.Green, false)
	c.blueUntouched(before)
	if err := c.Platform.RemoveTrack(c.ctx, c.Blue, false); err == nil {
		c.t.Error("RemoveTrack removes a colour that the user made, want an error")
	}
	c.blueUntouched(before)
}

func (c platformCase) colourRestoredToNothing() {
	state := c.State(c.t)
	was := c.save(c.Green, c.New)
	c.set(c.Green, c.New, c.Replicas)
	c.restore(was, false)
	c.soon("after the missing colour was put back", state)
}

// colourKept is the second release to a colour that headgate made.
func (c platformCase) colourKept() {
	c.set(c.Green, c.New, 1)
	c.ready(c.Green, 1)
	c.set(c.Green, c.Old, 1) // By another run.
	c.ready(c.Green, 1)
	c.runs(c.Green, c.Old.Image, 1)
	if err := c.Platform.RemoveTrack(c.ctx, c.Green, false); err == nil {
		c.t.Error("RemoveTrack removes a colour that another run has released to, want an error")
	}
	c.runs(c.Green, c.Old.Image, 1)
}

func (c platformCase) colourRestored() {
	c.set(c.Green, c.Old, 1)
	c.ready(c.Green, 1)
	state, before := c.State(c.t), c.live(c.Green.Workload)
	was := c.save(c.Green, c.New)
	c.set(c.Green, c.New, c.Replicas)
	c.ready(c.Green, c.Replicas)
	c.runs(c.Green, c.New.Image, c.Replicas)
	c.restore(was, false)
	c.runs(c.Green, c.Old.Image, 1)
	c.runs(c.Green, c.New.Image, 0)
	if after := c.live(c.Green.Workload); after.Version != before.Version || after.Replicas != 1 {
		c.t.Errorf("Live = %+v after it was put back, was %+v", after, before)
	}
	c.soon("after the colour was put back", state)
}

func (c platformCase) colourBroken() {
	before := c.live(c.Blue.Workload)
	c.set(c.Green, c.Broken, 1)
	err := c.Platform.AwaitReady(c.ctx, c.Green, 1, func(string) {})
	var nr *stages.NotReadyError
	if !errors.As(err, &nr) || nr.Cause == "" || nr.Track != c.Green {
		c.t.Fatalf("AwaitReady: got %v, want a NotReadyError about green", err)
	}
	c.blueUntouched(before)
	c.remove(c.Green, false)
}

func (c platformCase) colourResized() {
	r, ok := c.Platform.(stages.Resizer)
	if !ok {
		c.t.Fatalf("%T is no stages.Resizer", c.Platform)
	}
	size := func(want int) {
		c.t.Helper()
		if n, err := r.Size(c.ctx, c.Green); err != nil || n != want {
			c.t.Errorf("Size = %d, %v; want %d", n, err, want)
		}
	}
	size(0)
	if err := r.Resize(c.ctx, c.Green, 1); err == nil {
		c.t.Error("Resize of a colour that is missing is no error")
	}
	c.set(c.Green, c.New, 1)
	c.ready(c.Green, 1)
	before := c.live(c.Green.Workload)
	for _, n := range []int{2, 0, 1} {
		if err := r.Resize(c.ctx, c.Green, n); err != nil {
			c.t.Fatalf("Resize(%d): %v", n, err)
		}
		size(n)
		c.ready(c.Green, n)
		c.runs(c.Green, c.New.Image, n)
	}
	if after := c.live(c.Green.Workload); after.Version != before.Version {
		c.t.Errorf("Live = %+v after it was resized, was %+v", after, before)
	}
}
