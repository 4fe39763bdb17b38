package stages

import (
	"context"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func commitKind() pipeline.Kind {
	return pipeline.Kind{
		Name: "commit", Changes: true,
		Doc: "The point of no return: nothing that was done before it is undone after it. Without one, it is the end of the pipeline.",
		New: func() pipeline.Task { return new(CommitStage) },
	}
}

// CommitStage marks the commit. It has no keys: commit: {}.
type CommitStage struct {
	Pos source.Pos
}

var _ pipeline.Committer = (*CommitStage)(nil)

// Run does nothing; the engine commits after it.
func (*CommitStage) Run(context.Context, *pipeline.Scope) error { return nil }

// Commits implements [pipeline.Committer].
func (*CommitStage) Commits() {}
