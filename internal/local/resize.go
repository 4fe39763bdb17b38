package local

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/headgate-dev/headgate/stages"
)

var (
	_ stages.Resizer    = (*World)(nil)
	_ stages.Revisioner = (*World)(nil)
)

// Size reads how many pods a track is wanted to have; see [stages.Resizer].
func (w *World) Size(ctx context.Context, t stages.Track) (int, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("read size of %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.state.Deployments[trackKey(w.placedTrack(t))]
	if !ok {
		return 0, nil
	}
	return d.replicas(), nil
}

// Resize sets how many pods a track has; see [stages.Resizer].
func (w *World) Resize(ctx context.Context, t stages.Track, replicas int) error {
	if err := w.resize(ctx, w.placedTrack(t), replicas); err != nil {
		return fmt.Errorf("resize %s: %w", t, err)
	}
	return nil
}

func (w *World) resize(ctx context.Context, t stages.Track, replicas int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if replicas < 0 {
		return fmt.Errorf("%d replicas make no sense", replicas)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change(func(s *state) error {
		d, ok := s.Deployments[trackKey(t)]
		if !ok {
			return fmt.Errorf("there is no deployment %s", trackKey(t))
		}
		d.Object = *d.Object.DeepCopy()
		d.Object.Spec.Replicas = new32(replicas)
		s.Deployments[trackKey(t)] = d
		return nil
	})
}

// SelectorNow returns matchers of the pods that a track's present template
// makes; see [stages.Revisioner].
func (w *World) SelectorNow(ctx context.Context, t stages.Track) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", fmt.Errorf("select pods of %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t = w.placedTrack(t)
	d, ok := w.state.Deployments[trackKey(t)]
	if !ok {
		return "", fmt.Errorf("select pods of %s: there is no deployment %s", t, trackKey(t))
	}
	pattern := fmt.Sprintf("%s-%s-[%s]{5}", regexp.QuoteMeta(d.Object.Name), templateHash(&d.Object), suffixAlphabet)
	return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(t.Workload.Namespace), strconv.Quote(pattern)), nil
}
