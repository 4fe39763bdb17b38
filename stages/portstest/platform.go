package portstest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/stages"
)

// PlatformFixture is a world with one workload in it.
type PlatformFixture struct {
	Platform stages.Platform
	// Workload runs Old with Replicas pods (two or more), ready, behind a
	// Service.
	Workload stages.Workload
	Replicas int
	// Old and New are good releases, by different runs; Broken never gets
	// ready, in a way that the platform can tell at once.
	Old, New, Broken stages.Release
	// Missing has no Deployment yet; First, with manifests, makes it.
	Missing stages.Workload
	First   stages.Release
	// Running returns how many ready pods of a track run an image.
	Running func(t *testing.T, track stages.Track, image string) int
	// State describes all objects that a user can see, so that two states can
	// be compared.
	State func(t *testing.T) string
	// Patience bounds every wait of the suite.
	Patience time.Duration

	// Blue and Green are for [Colours] alone: Blue runs Old with Replicas pods,
	// ready; Green, its peer, is missing.
	Blue, Green stages.Track
	// Scaled is for [Scaler] alone: it runs Old with Replicas pods, and has an
	// autoscaler whose minimum is 1 and whose maximum is more than Replicas.
	Scaled stages.Workload
}

// platformCase is a running case.
type platformCase struct {
	PlatformFixture
	t   *testing.T
	ctx context.Context
}

// Platform runs the suite; newFixture makes a fresh world for each case.
func Platform(t *testing.T, newFixture func(t *testing.T) PlatformFixture) {
	runCases(t, newFixture, []namedCase{
		{"LiveReadsTheWorkload", platformCase.liveReads},
		{"LiveOfAMissingWorkloadIsNoError", platformCase.liveMissing},
		{"CanaryGetsReadyBesideStable", platformCase.canaryReady},
		{"SettingATrackTwiceIsSettingItOnce", platformCase.setTwice},
		{"CanaryFollowsItsSize", platformCase.resize},
		{"CanaryTakesAnotherRelease", platformCase.replace},
		{"RemovedCanaryLeavesNothing", platformCase.removeCanary},
		{"RemovingInAHurryRemovesToo", platformCase.removeHurry},
		{"RemovingNothingIsNoError", platformCase.removeNothing},
		{"BrokenReleaseIsNotReadyAndSaysWhy", platformCase.broken},
		{"PromotionReplacesStable", platformCase.promote},
		{"PromotionKeepsTheNumberOfPods", platformCase.promoteKeepsSize},
		{"FirstDeploymentIsMadeAndTakenAway", platformCase.first},
		{"FirstDeploymentIsFollowedByACanary", platformCase.firstThenCanary},
		{"RemovingStableSparesWhatWasThere", platformCase.removeForeign},
		{"TracksHaveDifferentSelectors", platformCase.selectors},
		{"EndedContextChangesNothing", platformCase.cancelled},
		{"WaitEndsWithItsContext", platformCase.cancelledWait},
	})
}

// namedCase is one case of a suite.
type namedCase struct {
	name string
	run  func(c platformCase)
}

// runCases runs each in a fresh world.
func runCases(t *testing.T, newFixture func(t *testing.T) PlatformFixture, cases []namedCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := context.WithTimeout(t.Context(), f.Patience)
			defer cancel()
			c.run(platformCase{f, t, ctx})
		})
	}
}

func (c platformCase) track(name string) stages.Track {
	return stages.Track{Workload: c.Workload, Name: name}
}

func (c platformCase) set(t stages.Track, r stages.Release, n int) {
	c.t.Helper()
	if err := c.Platform.SetTrack(c.ctx, t, r, n); err != nil {
		c.t.Fatalf("SetTrack(%s, %d): %v", t, n, err)
	}
}

func (c platformCase) ready(t stages.Track, n int) {
	c.t.Helper()
	if err := c.Platform.AwaitReady(c.ctx, t, n, func(line string) { c.t.Log(line) }); err != nil {
		c.t.Fatalf("AwaitReady(%s, %d): %v", t, n, err)
	}
}

func (c platformCase) remove(t stages.Track, hurry bool) {
	c.t.Helper()
	if err := c.Platform.RemoveTrack(c.ctx, t, hurry); err != nil {
		c.t.Fatalf("RemoveTrack(%s, %v): %v", t, hurry, err)
	}
}

func (c platformCase) runs(t stages.Track, image string, want int) {
	c.t.Helper()
	if got := c.Running(c.t, t, image); got != want {
		c.t.Errorf("%s runs %d ready pods of %s, want %d", t, got, image, want)
	}
}

func (c platformCase) live(w stages.Workload) stages.Live {
	c.t.Helper()
	l, err := c.Platform.Live(c.ctx, w)
	if err != nil {
		c.t.Fatalf("Live(%s): %v", w, err)
	}
	return l
}

// soon asks until the state is want, for what an implementation need not wait
// for.
func (c platformCase) soon(what, want string) {
	c.t.Helper()
	for {
		got := c.State(c.t)
		if got == want {
			return
		}
		select {
		case <-c.ctx.Done():
			c.t.Fatalf("%s: the state is\n%s\nwant\n%s", what, got, want)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c platformCase) liveReads() {
	l := c.live(c.Workload)
	if !l.Exists || l.Replicas != c.Replicas || l.ImageFor(c.Old) != c.Old.Image || l.Version == "" {
		c.t.Errorf("Live = %+v, want %d replicas of %s and a version", l, c.Replicas, c.Old.Image)
	}
}

func (c platformCase) liveMissing() {
	if l := c.live(c.Missing); l.Exists {
		c.t.Errorf("Live = %+v, want one that does not exist", l)
	}
}

func (c platformCase) canaryReady() {
	before := c.live(c.Workload)
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	c.runs(canary, c.New.Image, 1)
	c.runs(c.track(stages.Stable), c.Old.Image, c.Replicas)
	if after := c.live(c.Workload); !reflect.DeepEqual(after, before) {
		c.t.Errorf("stable changed from %+v to %+v", before, after)
	}
}

func (c platformCase) setTwice() {
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	state := c.State(c.t)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	if got := c.State(c.t); got != state {
		c.t.Errorf("the state is\n%s\nafter the second time, and was\n%s", got, state)
	}
}

func (c platformCase) resize() {
	canary := c.track(stages.Canary)
	for _, n := range []int{1, 2, 1} {
		c.set(canary, c.New, n)
		c.ready(canary, n)
	}
	c.runs(canary, c.New.Image, 1)
}

func (c platformCase) replace() {
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	next := c.New
	next.Image, next.Run = c.Old.Image, c.Old.Run
	c.set(canary, next, 1)
	c.ready(canary, 1)
	c.runs(canary, c.Old.Image, 1)
	c.runs(canary, c.New.Image, 0)
}

func (c platformCase) removeCanary() {
	before := c.State(c.t)
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	c.remove(canary, false)
	c.runs(canary, c.New.Image, 0)
	c.soon("after removal", before)
	c.remove(canary, false)
}

func (c platformCase) removeHurry() {
	before := c.State(c.t)
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	c.remove(canary, true)
	c.soon("after removal in a hurry", before)
}

func (c platformCase) removeNothing() {
	before := c.State(c.t)
	c.remove(c.track(stages.Canary), false)
	c.remove(stages.Track{Workload: c.Missing, Name: stages.Stable}, false)
	if got := c.State(c.t); got != before {
		c.t.Errorf("the state is\n%s\nwant\n%s", got, before)
	}
}

func (c platformCase) broken() {
	canary := c.track(stages.Canary)
	c.set(canary, c.Broken, 1)
	err := c.Platform.AwaitReady(c.ctx, canary, 1, func(string) {})
	var nr *stages.NotReadyError
	if !errors.As(err, &nr) || !errors.Is(err, stages.ErrNotReady) {
		c.t.Fatalf("AwaitReady: got %v, want a NotReadyError", err)
	}
	if nr.Code == "" || nr.Cause == "" || nr.Hint() == "" || nr.Track != canary {
		c.t.Errorf("the error does not say everything: %+v", nr)
	}
	if d, ok := c.Platform.(stages.Diagnoser); ok {
		if text, err := d.Diagnose(c.ctx, canary); err != nil || strings.TrimSpace(text) == "" {
			c.t.Errorf("Diagnose: got %q, %v", text, err)
		}
	}
	c.runs(c.track(stages.Stable), c.Old.Image, c.Replicas)
	c.remove(canary, false)
}

func (c platformCase) promote() {
	canary, stable := c.track(stages.Canary), c.track(stages.Stable)
	c.set(canary, c.New, c.Replicas)
	c.ready(canary, c.Replicas)
	before := c.live(c.Workload)
	for range 2 { // A run may die after the first.
		c.set(stable, c.New, -1)
		c.ready(stable, c.Replicas)
	}
	c.runs(stable, c.New.Image, c.Replicas)
	c.runs(stable, c.Old.Image, 0)
	after := c.live(c.Workload)
	if after.ImageFor(c.Old) != c.New.Image || after.Version == before.Version {
		c.t.Errorf("Live = %+v after promotion, was %+v", after, before)
	}
	c.remove(canary, false)
	c.runs(stable, c.New.Image, c.Replicas)
}

func (c platformCase) promoteKeepsSize() {
	c.set(c.track(stages.Stable), c.New, -1)
	if l := c.live(c.Workload); l.Replicas != c.Replicas {
		c.t.Errorf("Live = %+v, want %d replicas", l, c.Replicas)
	}
	c.ready(c.track(stages.Stable), c.Replicas)
}

func (c platformCase) first() {
	before := c.State(c.t)
	stable := stages.Track{Workload: c.Missing, Name: stages.Stable}
	for range 2 {
		c.set(stable, c.First, 1)
		c.ready(stable, 1)
	}
	c.runs(stable, c.First.Image, 1)
	if l := c.live(c.Missing); !l.Exists || l.Replicas != 1 {
		c.t.Errorf("Live = %+v, want one that exists with 1 replica", l)
	}
	c.remove(stable, false)
	c.soon("after a first deployment was taken away", before)
	c.remove(stable, false)
}

// firstThenCanary is the second release of a workload that headgate made.
func (c platformCase) firstThenCanary() {
	stable := stages.Track{Workload: c.Missing, Name: stages.Stable}
	canary := stages.Track{Workload: c.Missing, Name: stages.Canary}
	c.set(stable, c.First, 1)
	c.ready(stable, 1)
	next := stages.Release{Image: c.Old.Image, Run: c.Old.Run}
	c.set(canary, next, 1)
	c.ready(canary, 1)
	c.runs(stable, c.First.Image, 1)
	c.set(stable, next, -1)
	c.ready(stable, 1)
	c.remove(canary, false)
	c.runs(stable, next.Image, 1)
	// It is the user's now.
	if err := c.Platform.RemoveTrack(c.ctx, stable, false); err == nil {
		c.t.Error("RemoveTrack removes a workload that another run has released to, want an error")
	}
	c.runs(stable, next.Image, 1)
}

func (c platformCase) removeForeign() {
	before := c.State(c.t)
	if err := c.Platform.RemoveTrack(c.ctx, c.track(stages.Stable), false); err == nil {
		c.t.Error("RemoveTrack removes a workload that no first deployment made, want an error")
	}
	if got := c.State(c.t); got != before {
		c.t.Errorf("the state is\n%s\nwant\n%s", got, before)
	}
	c.runs(c.track(stages.Stable), c.Old.Image, c.Replicas)
}

func (c platformCase) selectors() {
	a, b := c.Platform.Selector(c.track(stages.Stable)), c.Platform.Selector(c.track(stages.Canary))
	if a == "" || b == "" || a == b {
		c.t.Errorf("selectors %q and %q, want two different ones", a, b)
	}
}

func (c platformCase) cancelled() {
	before := c.State(c.t)
	why := errors.New("the run was cancelled")
	ctx, cancel := context.WithCancelCause(c.ctx)
	cancel(why)
	canary := c.track(stages.Canary)
	if err := c.Platform.SetTrack(ctx, canary, c.New, 1); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		c.t.Errorf("SetTrack: got %v, want the cause", err)
	}
	if got := c.State(c.t); got != before {
		c.t.Errorf("the state is\n%s\nwant\n%s", got, before)
	}
}

func (c platformCase) cancelledWait() {
	canary := c.track(stages.Canary)
	c.set(canary, c.New, 1)
	c.ready(canary, 1)
	why := errors.New("the run was cancelled")
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	cancel(why)
	began := time.Now()
	if err := c.Platform.AwaitReady(ctx, canary, 1, func(string) {}); !errors.Is(err, why) {
		c.t.Errorf("AwaitReady: got %v, want %v", err, why)
	}
	if d := time.Since(began); d > 2*time.Second {
		c.t.Errorf("AwaitReady went on for %s", d)
	}
	c.remove(canary, false)
}
