package stages

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// watching is a gate that judges a track while a stage goes on.
type watching struct {
	scope *pipeline.Scope
	gate  *gates.Gate
	watch *gates.Watch
}

// startWatch prepares a watch of a track that began to get traffic at since.
// With name "" there is no gate, and the watch allows everything.
func (p *Parts) startWatch(s *pipeline.Scope, name string, target gates.Target) (*watching, error) {
	if name == "" {
		return &watching{scope: s}, nil
	}
	gate, ok := gates.Of(s.Pipeline(), name)
	if !ok {
		return nil, fmt.Errorf("gate %q is not declared", name)
	}
	return p.watchGate(s, gate, target), nil
}

func (p *Parts) watchGate(s *pipeline.Scope, gate *gates.Gate, target gates.Target) *watching {
	providers := p.Gates
	providers.Text = s.Text
	return &watching{scope: s, gate: gate, watch: gate.Watch(providers, target)}
}

// beside does work while the gate looks, and ends it when the gate fails.
func (w *watching) beside(ctx context.Context, work func(ctx context.Context) error) error {
	if w.watch == nil {
		return work(ctx)
	}
	look := func(ctx context.Context) error {
		return w.watch.Run(ctx, w.scope.Clock(), w.emit)
	}
	return w.scope.While(ctx, look, work)
}

// ready returns when the gate allows going on, that is, when it was shown
// that all is well, and fails when that cannot be shown in time.
func (w *watching) ready(ctx context.Context) error {
	if w.watch == nil {
		return nil
	}
	if ok, reason := w.watch.Ready(); !ok {
		w.scope.Progress("waiting for gate %s: %s", w.gate.Name(), reason)
	}
	v, err := w.watch.Settle(ctx, w.scope.Clock(), w.emit)
	if err != nil {
		return err
	}
	return gates.Failed(v)
}

// changed tells the gate that what it saw so far is of the past.
func (w *watching) changed() {
	if w.watch != nil {
		w.watch.Changed()
	}
}

func (w *watching) emit(v pipeline.Verdict) {
	w.scope.Emit(pipeline.Event{Type: pipeline.Judged, Verdict: &v})
}

// checkGate reports a gate that is not declared.
func checkGate(p *pipeline.Pipeline, name source.String, report func(source.Problem)) {
	if !name.IsSet() {
		return
	}
	if _, ok := gates.Of(p, name.Value); ok {
		return
	}
	var known []string
	if section, ok := pipeline.SectionOf[*gates.Section](p, gates.Key); ok {
		known = section.Keys()
	}
	problem := source.Problem{Pos: name.Pos, Width: len(name.Value), Message: fmt.Sprintf("gate %q is not declared", name.Value)}
	if near := source.Nearest(name.Value, known); near != "" {
		problem.Hint = fmt.Sprintf("did you mean %q?", near)
	} else {
		problem.Hint = "declare it under gates: at the top of the file"
	}
	report(problem)
}
