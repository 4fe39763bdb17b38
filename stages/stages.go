package stages

import (
	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// Grammar is what a pipeline file can say. This list of kinds is the only
// one: a kind is one file of this package, one line here, one reference page
// and one example.
func Grammar(parts *Parts, sections ...pipeline.Section) pipeline.Grammar {
	return pipeline.Grammar{
		Sections: append([]pipeline.Section{gates.Declare()}, sections...),
		Kinds: []pipeline.Kind{
			testKind(parts),
			buildKind(parts),
			rollingKind(parts),
			blueGreenKind(parts),
			canaryKind(parts),
			argoRolloutKind(parts),
			gateKind(parts),
			flagKind(parts),
			runKind(parts),
			commitKind(),
		},
	}
}

// UsesPlatform reports whether a task works on a [Platform].
func UsesPlatform(task pipeline.Task) bool {
	_, ok := task.(rollout)
	return ok
}

// Undoers are what puts back the things that the stages change, by kind of
// thing.
func Undoers(parts *Parts) map[string]pipeline.Undoer {
	return map[string]pipeline.Undoer{
		routeThing:    routeUndoer{parts},
		trackThing:    trackUndoer{parts},
		workloadThing: workloadUndoer{parts},
		updatedThing:  updatedUndoer{parts},
		colourThing:   colourUndoer{parts},

		autoscalerThing: autoscalerUndoer{parts},
		flagThing:       flagUndoer{parts},
		runThing:        runUndoer{parts},
		argoThing:       argoUndoer{parts},
	}
}
