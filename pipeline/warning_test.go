package pipeline_test

import (
	"context"
	"testing"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// doubtful is a stage whose preflight warns.
type doubtful struct{ plain }

func (doubtful) Preflight(context.Context, *pipeline.Scope) []pipeline.Finding {
	return []pipeline.Finding{{Pos: source.Pos{Line: 7, Col: 3}, Message: "no probe", Warning: true}}
}

func TestWarningsOfAPreflightNameTheirPlace(t *testing.T) {
	b := newBench(stage("a", doubtful{changes("route", "100")}))
	var told []pipeline.Event
	b.Sinks = append(b.Sinks, sinkFunc(func(e pipeline.Event) {
		if e.Type == pipeline.Warned {
			told = append(told, e)
		}
	}))
	want(t, b.Run(t.Context()), pipeline.Delivered)
	if len(told) != 1 || told[0].Pos != (source.Pos{Line: 7, Col: 3}) || told[0].Message != "no probe" {
		t.Errorf("got %+v, want one warning with its place", told)
	}
}
