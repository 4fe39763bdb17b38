package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// shifting moves traffic from one track to another, whatever the tracks are.
type shifting struct {
	scope   *pipeline.Scope
	traffic Traffic
	split   Split
	router  Router
	before  json.RawMessage // the route, before its first change
	weight  float64         // of the new track, as far as this process knows
}

// shift prepares moving traffic; it changes nothing.
func (p *Parts) shift(ctx context.Context, s *pipeline.Scope, t Traffic, split Split) (*shifting, error) {
	router, err := p.Router(t, split)
	if err != nil {
		return nil, err
	}
	sh := &shifting{scope: s, traffic: t, split: split, router: router}
	if was, ok := s.Was(sh.routeThing()); ok {
		sh.before = was
		return sh, nil
	}
	if sh.before, err = router.Snapshot(ctx); err != nil {
		return nil, err
	}
	return sh, nil
}

// routeThing names the part of the route that belongs to the workload. A route
// may serve several workloads, each of which a stage of its own rolls out and
// puts back.
func (sh *shifting) routeThing() pipeline.Thing {
	name := sh.router.Name()
	if w := " " + sh.split.Old.Workload.String(); !strings.HasSuffix(name, w) {
		name += " for" + w
	}
	return pipeline.Thing{Kind: routeThing, Name: name}
}

// set gives the new track a share of the traffic, which its pods must be up
// for. It is skipped where the journal says that it is done.
func (sh *shifting) set(ctx context.Context, weight float64) error {
	from := sh.weight
	err := sh.scope.Do(ctx, pipeline.Change{
		Thing: sh.routeThing(), Key: "weight " + percent(weight), Urgent: true,
		Was: sh.before, To: routeState{Weight: weight, Before: sh.before},
		Make: func(ctx context.Context) error { return sh.router.SetWeight(ctx, from, weight) },
	})
	if err != nil {
		return err
	}
	sh.weight = weight
	if weight == 100 {
		// From now on the old track drains; the finish need not wait for it again.
		if _, err := sh.scope.Mark(ctx, "drain "+sh.split.Old.Name); err != nil {
			return err
		}
	}
	if err := sh.tell(ctx, weight); err != nil {
		return err
	}
	return sh.probe(ctx)
}

// back makes the route what it was before the rollout, in one write.
func (sh *shifting) back(ctx context.Context) error {
	err := sh.scope.Do(ctx, pipeline.Change{
		Thing: sh.routeThing(), Key: "back to " + sh.split.Old.Name, Urgent: true, To: routeState{Before: sh.before},
		Make: func(ctx context.Context) error { return sh.router.Restore(ctx, sh.before) },
	})
	if err != nil {
		return err
	}
	sh.weight = 0
	if err := sh.tell(ctx, 0); err != nil {
		return err
	}
	return sh.probe(ctx)
}

// tell reports what share the new track gets: the real one, where a router
// that splits by numbers of pods can only come near the one that was asked
// for.
func (sh *shifting) tell(ctx context.Context, weight float64) error {
	if real, ok := sh.router.(interface {
		Ratio(ctx context.Context) (float64, error)
	}); ok {
		ratio, err := real.Ratio(ctx)
		if err != nil {
			return err
		}
		weight = math.Round(ratio*10) / 10
	}
	sh.scope.Emit(pipeline.Event{Type: pipeline.TrafficShifted, Name: sh.router.Name(), Track: sh.split.New.Name, Weight: &weight})
	return nil
}

// settle gives the endpoints of a track that is about to get its first traffic
// the time to reach the proxies. They hear of endpoints and of routes by
// separate watches: a route that comes first would be followed to pods that
// are not known yet, or to those of before, which are gone.
func (sh *shifting) settle(ctx context.Context, track string) error {
	return sh.scope.Step(ctx, "settle "+track, func(ctx context.Context) error {
		return sh.scope.Sleep(ctx, sh.traffic.Settle.Value)
	})
}

// drain lets the requests that are under way to a track without weight end.
func (sh *shifting) drain(ctx context.Context, track string) error {
	since, err := sh.scope.Mark(ctx, "drain "+track)
	if err != nil {
		return err
	}
	left := sh.traffic.Drain.Value - sh.scope.Now().Sub(since)
	if left <= 0 {
		return nil
	}
	sh.scope.Waiting(left, "%s drains for %s", track, source.FormatDuration(left.Round(100*time.Millisecond)))
	return sh.scope.Sleep(ctx, left)
}

// pause waits under whatever gate there is. A resumed run does not wait again
// for what has gone by.
func (sh *shifting) pause(ctx context.Context, name string, d time.Duration) error {
	began, err := sh.scope.Mark(ctx, name)
	if err != nil {
		return err
	}
	return sh.scope.Step(ctx, name, func(ctx context.Context) error {
		left := d - sh.scope.Now().Sub(began)
		if left <= 0 {
			return nil
		}
		sh.scope.Waiting(left, "pause of %s at %s", source.FormatDuration(d), percent(sh.weight))
		return sh.scope.Sleep(ctx, left)
	})
}

// show points a Service for previews at the new track, which no user reaches
// by it.
func (sh *shifting) show(ctx context.Context) error {
	err := sh.scope.Do(ctx, pipeline.Change{
		Thing: sh.routeThing(), Key: "preview", Was: sh.before, To: routeState{Weight: 100, Before: sh.before},
		Make: func(ctx context.Context) error {
			now, err := sh.router.Weight(ctx)
			if err != nil {
				return err
			}
			return sh.router.SetWeight(ctx, now, 100)
		},
	})
	if err != nil {
		return err
	}
	return sh.probe(ctx)
}

// probe asks the traffic's probe URL until it answers well several times in a
// row.
func (sh *shifting) probe(ctx context.Context) error { return sh.probeAt(ctx, sh.traffic.Probe) }

func (sh *shifting) probeAt(ctx context.Context, probe source.Template) error {
	if !probe.IsSet() {
		return nil
	}
	url, err := sh.scope.Text(probe, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	client := probeClient()
	deadline := sh.scope.Now().Add(probeTime)
	for good := 0; good < probesWanted; {
		err := probeOnce(ctx, client, url)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			good++
			continue
		case sh.scope.Now().After(deadline):
			return fmt.Errorf("probe through the route: %w", err)
		}
		good = 0
		if err := sh.scope.Sleep(ctx, probeAgain); err != nil {
			return err
		}
	}
	return nil
}
