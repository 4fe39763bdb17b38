package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

const autoscalerThing = "autoscaler"

// autoscalerLag is how long an autoscaler may go on seeing a workload without
// the traffic that has come back to it: what it counts is an average, scraped
// now and then. A minimum that is given back earlier takes pods away that have
// work to do.
const autoscalerLag = time.Minute

// heldState is what a change of an autoscaler leaves.
type heldState struct {
	Autoscaler
	// Held is its minimum while the rollout goes on.
	Held int `json:"held"`
}

// heldBefore is what an autoscaler was, and how long it is kept from acting once
// its workload has its traffic again.
type heldBefore struct {
	Autoscaler
	Wait time.Duration `json:"wait,omitempty"`
}

func heldThing(a Autoscaler) pipeline.Thing {
	return pipeline.Thing{Kind: autoscalerThing, Name: a.String()}
}

// hold keeps the autoscaler of a workload, if there is one, from taking pods
// away while their traffic is elsewhere: they may have to carry it again at
// any time. Twice with a larger size is holding at the larger one.
func (p *Parts) hold(ctx context.Context, s *pipeline.Scope, t Track, size int) error {
	return p.holdFor(ctx, s, t.Workload, holding{size: size, wait: autoscalerLag})
}

// holdIdle is hold for a workload without traffic.
func (p *Parts) holdIdle(ctx context.Context, s *pipeline.Scope, t Track, size int) error {
	return p.holdFor(ctx, s, t.Workload, holding{size: size})
}

// holdAgain is holdIdle once the release was taken, whose manifests may have
// set the minimum that they hold.
func (p *Parts) holdAgain(ctx context.Context, s *pipeline.Scope, t Track, size int) error {
	return p.holdFor(ctx, s, t.Workload, holding{size: size, when: " with the release"})
}

// holding is at what size an autoscaler is held, and how long a rollback waits
// before it lets it go.
type holding struct {
	size int
	wait time.Duration
	// when tells a change from one to the same size that was made before.
	when string
}

func (p *Parts) holdFor(ctx context.Context, s *pipeline.Scope, w Workload, h holding) error {
	scaler, ok := p.Platform.(Scaler)
	if !ok {
		return nil
	}
	now, err := scaler.Autoscaler(ctx, w)
	if err != nil || !now.Exists() {
		return err
	}
	size := min(h.size, now.Max)
	if now.Min >= size {
		return nil
	}
	return s.Do(ctx, pipeline.Change{
		Thing: heldThing(now), Key: fmt.Sprintf("at least %d pods%s", size, h.when),
		Was: heldBefore{now, h.wait}, To: heldState{now, size},
		Make: func(ctx context.Context) error { return scaler.SetMinimum(ctx, now, now.Min, size) },
	})
}

// letGo gives an autoscaler that was held its own minimum back, when it has had
// the time since to see the traffic that the workload has. The zero time is for
// a workload without traffic.
func (p *Parts) letGo(ctx context.Context, s *pipeline.Scope, w Workload, since time.Time) error {
	scaler, ok := p.Platform.(Scaler)
	if !ok {
		return nil
	}
	now, err := scaler.Autoscaler(ctx, w)
	if err != nil || !now.Exists() {
		return err
	}
	raw, held := s.Was(heldThing(now))
	if !held {
		return nil
	}
	var was Autoscaler
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	if left := autoscalerLag - s.Now().Sub(since); left > 0 && now.Min > was.Min {
		s.Waiting(left, "%s gets %s to see the traffic before it may scale down", now, source.FormatDuration(left.Round(100*time.Millisecond)))
		if err := s.Sleep(ctx, left); err != nil {
			return err
		}
	}
	return s.Do(ctx, pipeline.Change{
		Thing: heldThing(now), Key: "its own minimum", To: heldState{was, was.Min},
		Make: func(ctx context.Context) error { return scaler.SetMinimum(ctx, was, now.Min, was.Min) },
	})
}

// autoscalerUndoer gives an autoscaler its former minimum.
type autoscalerUndoer struct{ parts *Parts }

// Undo sets the minimum, whatever it is now.
func (u autoscalerUndoer) Undo(ctx context.Context, _ pipeline.Thing, raw json.RawMessage, hurry bool) error {
	var was heldBefore
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	scaler, ok := u.parts.Platform.(Scaler)
	if !ok {
		return errNoCluster
	}
	now, err := scaler.Autoscaler(ctx, was.Workload)
	if err != nil {
		return err
	}
	if !now.Exists() { // somebody has removed it; there is nothing to put back
		return nil
	}
	if now.Min > was.Min && !hurry {
		if err := (pipeline.RealClock{}).Sleep(ctx, was.Wait); err != nil {
			return err
		}
	}
	return scaler.SetMinimum(ctx, was.Autoscaler, now.Min, was.Min)
}

// Matches compares the minimum.
func (u autoscalerUndoer) Matches(ctx context.Context, _ pipeline.Thing, to json.RawMessage) (bool, error) {
	var left heldState
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	scaler, ok := u.parts.Platform.(Scaler)
	if !ok {
		return false, errors.New("the platform has no autoscalers")
	}
	now, err := scaler.Autoscaler(ctx, left.Workload)
	return now.Exists() && now.Min == left.Held, err
}
