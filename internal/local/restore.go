package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/headgate-dev/headgate/stages"
)

var (
	_ stages.Restorer = (*World)(nil)
	_ stages.Tidier   = (*World)(nil)
)

// savedTrack is what a track's Deployment was, and the objects that a release
// would change with it. It stays in the world: there may be Secrets among them,
// which are not for a journal.
type savedTrack struct {
	// Deployment is nil where there was none.
	Deployment *deployment `json:"deployment,omitempty"`
	// Objects are those that were there, Missing those that were not.
	Objects objectSet   `json:"objects,omitempty"`
	Missing []objectKey `json:"missing,omitempty"`
}

// savedRef is what a journal holds of it.
type savedRef struct {
	Platform string       `json:"platform"`
	Track    stages.Track `json:"track"`
	Saved    string       `json:"saved"`
}

// localPlatform tells what this platform has saved from what others have.
const localPlatform = "local"

// SaveTrack keeps what a track is now; see [stages.Restorer].
func (w *World) SaveTrack(ctx context.Context, t stages.Track, r stages.Release) (json.RawMessage, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("save %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t = w.placedTrack(t)
	from, err := readObjects(r.Manifests, t.Workload.Namespace)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", t, err)
	}
	was := savedTrack{Objects: objectSet{}}
	if d, ok := w.state.Deployments[trackKey(t)]; ok {
		was.Deployment = &d
	}
	for _, k := range from.order {
		if raw, ok := w.state.Objects[k]; ok {
			was.Objects[k] = raw
		} else {
			was.Missing = append(was.Missing, k)
		}
	}
	b, err := json.Marshal(was)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", t, err)
	}
	sum := sha256.Sum256(b)
	ref := savedRef{Platform: localPlatform, Track: t, Saved: hex.EncodeToString(sum[:10])}
	err = w.change(func(s *state) error {
		of := maps.Clone(s.Saved[trackKey(t)])
		if of == nil {
			of = map[string]savedTrack{}
		}
		if s.Saved == nil {
			s.Saved = map[string]map[string]savedTrack{}
		}
		of[ref.Saved] = was
		s.Saved[trackKey(t)] = of
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", t, err)
	}
	return json.Marshal(ref)
}

// RestoreTrack makes a track what it was when it was saved; see
// [stages.Restorer].
func (w *World) RestoreTrack(ctx context.Context, raw json.RawMessage, hurry bool) error {
	var ref savedRef
	if err := json.Unmarshal(raw, &ref); err != nil {
		return fmt.Errorf("restore track: read what it was: %w", err)
	}
	if ref.Platform != localPlatform || ref.Track.Workload.Name == "" || ref.Saved == "" {
		return errors.New("restore track: it was not saved by a local run")
	}
	if err := w.restore(ctx, ref); err != nil {
		return fmt.Errorf("restore %s: %w", ref.Track, err)
	}
	if hurry {
		return nil
	}
	key := trackKey(ref.Track)
	w.mu.Lock()
	_, there := w.state.Deployments[key]
	w.mu.Unlock()
	if !there {
		return w.wait(ctx, func() bool { return w.running[key] == nil })
	}
	err := w.await(ctx, waiting{name: key, replicas: -1})
	if n, ok := errors.AsType[*unready](err); ok {
		return &stages.NotReadyError{Track: ref.Track, Code: n.code, Cause: n.cause, Action: n.action}
	}
	return err
}

func (w *World) restore(ctx context.Context, ref savedRef) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := trackKey(ref.Track)
	was, ok := w.state.Saved[key][ref.Saved]
	if !ok {
		return errNotSaved
	}
	err := w.change(func(s *state) error {
		now, there := s.Deployments[key]
		if was.Deployment == nil {
			s.remove(key)
		}
		maps.Copy(s.Objects, was.Objects)
		for _, k := range was.Missing {
			delete(s.Objects, k)
		}
		if was.Deployment == nil {
			return nil
		}
		d := *was.Deployment
		d.Object = *d.Object.DeepCopy()
		if there && !ref.Track.Colour() { // an autoscaler may have raised it
			d.Object.Spec.Replicas = new32(max(d.replicas(), now.replicas()))
		}
		for _, k := range now.Made {
			if _, had := was.Objects[k]; !had && !slices.Contains(d.Made, k) {
				delete(s.Objects, k)
			}
		}
		s.Deployments[key] = d
		return w.routeAll(s)
	})
	if err != nil {
		return err
	}
	return w.followRoutes()
}

// errNotSaved reports a world that was thrown away since.
var errNotSaved = errors.New("the local world does not know any more what it was")

// Tidy forgets what former releases of a track were; see [stages.Tidier].
func (w *World) Tidy(ctx context.Context, t stages.Track) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("tidy %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := trackKey(w.placedTrack(t))
	if len(w.state.Saved[key]) == 0 {
		return nil
	}
	err := w.change(func(s *state) error {
		delete(s.Saved, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("tidy %s: %w", t, err)
	}
	return nil
}
