// Package journaltest is the suite that every [pipeline.Store] must pass.
package journaltest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Place is where one journal is kept, and what can befall it. The functions
// that may be nil are about faults that the place cannot have.
type Place struct {
	// Store returns a store for the place, as another process would make it.
	Store func() pipeline.Store
	// Break makes whoever holds the lock lose it, as by death or by being cut
	// off. A store made afterwards can open the journal, perhaps after a wait.
	Break func()
	// Tear leaves the place as a writer does that died in an append; may be
	// nil.
	Tear func()
	// Fill makes every write fail for want of room, until it is called with
	// false; may be nil.
	Fill func(full bool)
	// Corrupt spoils an entry before the last one; may be nil.
	Corrupt func()
}

// Suite says how to test one kind of store.
type Suite struct {
	// New makes an empty place.
	New func(t *testing.T) Place
	// Bubble runs every test in virtual time, where the place allows it.
	Bubble bool
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if !s.Bubble {
				t.Parallel()
				c.run(t, s.New(t))
				return
			}
			synctest.Test(t, func(t *testing.T) { c.run(t, s.New(t)) })
		})
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, p Place)
}

func cases() []testCase {
	return []testCase{
		{"EmptyPlace", testEmpty},
		{"AppendAndReplay", testReplay},
		{"ValuesSurvive", testValues},
		{"PeekNeedsNoLock", testPeek},
		{"PeekWhileAppending", testPeekWhileAppending},
		{"ManyAppendersAtOnce", testManyAppenders},
		{"SecondWriterIsRefused", testSecondWriter},
		{"ClosedLockIsFree", testReopen},
		{"LingerPrefersTheSameRun", testLinger},
		{"LostLockRefusesWrites", testLost},
		{"ResetBeginsAnew", testReset},
		{"EndedContextWritesNothing", testContext},
		{"ClosedJournalRefusesWrites", testClosed},
		{"TooLargeEntryIsRefused", testTooLarge},
		{"FullPlaceKeepsWhatItHas", testFull},
		{"TornEntryIsDropped", testTorn},
		{"SpoiledEntryIsAnError", testSpoiled},
	}
}

// Run1 and Run2 are two runs of one pipeline.
func run1() pipeline.Info { return pipeline.Info{ID: "run-1", Pipeline: "shop", URL: "https://ci/1"} }
func run2() pipeline.Info { return pipeline.Info{ID: "run-2", Pipeline: "shop"} }

// event returns an entry that can be told from others.
func event(name string) pipeline.Event {
	return pipeline.Event{
		Time: time.Date(2026, 11, 23, 14, 5, 6, 789, time.UTC),
		Type: pipeline.StepPassed, Stage: "rollout", Name: name,
	}
}
