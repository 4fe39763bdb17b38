package stages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// townPlatform is the part of a town that runs pods.
type townPlatform struct{ *town }

func (p townPlatform) Live(ctx context.Context, w stages.Workload) (live stages.Live, err error) {
	err = p.read(ctx, func() {
		if u := p.units[w.String()]; u != nil {
			live = stages.Live{Exists: true, Replicas: u.Replicas, Images: map[string]string{"user": u.Image}, Version: fmt.Sprint(u.Version), By: u.by}
		}
	})
	return live, err
}

func (p townPlatform) SetTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	at := place(t)
	return p.change(ctx, fmt.Sprintf("%s runs %s x%d", at, short(r.Image), replicas), func() {
		u := p.units[at]
		if u == nil {
			u = &unit{Replicas: max(replicas, p.need)}
			if replicas >= 0 {
				u.Replicas = replicas
			}
			p.units[at] = u
		}
		if replicas >= 0 {
			u.Replicas = replicas
			u.Ready = min(u.Ready, replicas)
		}
		u.fast = t.Name == stages.Stable && p.units[canaryAt] != nil && !r.Shared
		p.take(at, u, r.Image)
		if len(r.Manifests) > 0 {
			p.applied[at] = string(r.Manifests[0])
		}
		if a := p.hpas[at]; a != nil && p.brings > 0 {
			a.Min = p.brings
		}
		if a := p.hpas[stableAt]; a != nil && t.Name == stages.Canary {
			p.hpas[at] = &stages.Autoscaler{Kind: a.Kind, Workload: t.Workload, Name: "copy", Min: replicas, Max: a.Max}
		}
	})
}

func (p townPlatform) Unchanged(ctx context.Context, t stages.Track, r stages.Release) (same bool, err error) {
	err = p.read(ctx, func() {
		same = p.manifests != "" && p.units[place(t)].Image == r.Image && p.applied[place(t)] == string(r.Manifests[0])
	})
	return same, err
}

func (p townPlatform) OwnPace(ctx context.Context, t stages.Track) error {
	return p.change(ctx, "own pace of "+place(t), func() { p.units[place(t)].fast = false })
}

// take gives a unit an image; its former pods go as the new ones come.
func (p townPlatform) take(at string, u *unit, image string) {
	if u.Image == image {
		return
	}
	p.leave(at, "take "+image)
	u.Image, u.former, u.Ready = image, u.pods(), 0
	u.Version++
}

func (p townPlatform) AwaitReady(ctx context.Context, t stages.Track, replicas int, report func(string)) error {
	report("waiting for " + t.Name)
	if err := (pipeline.RealClock{}).Sleep(ctx, 700*time.Millisecond); err != nil {
		return err
	}
	var why error
	err := p.read(ctx, func() { why = p.up(t, replicas) })
	if err != nil {
		return err
	}
	return why
}

func (p townPlatform) up(t stages.Track, replicas int) error {
	u := p.units[place(t)]
	switch {
	case u == nil:
		return fmt.Errorf("track %s is gone", t.Name)
	case u.Image == p.sick || u.fallen:
		return &stages.NotReadyError{Track: t, Code: "CrashLoop", Cause: "the container exits with 1"}
	case u.Replicas < replicas:
		return fmt.Errorf("waiting for %d pods of %d", replicas, u.Replicas)
	}
	u.Ready, u.former = u.Replicas, 0
	return nil
}

func (p townPlatform) RemoveTrack(ctx context.Context, t stages.Track, _ bool) error {
	at := place(t)
	return p.change(ctx, "remove "+at, func() {
		p.leave(at, "remove")
		delete(p.units, at)
		if t.Name == stages.Canary {
			delete(p.hpas, at)
		}
	})
}

func (p townPlatform) Selector(t stages.Track) string { return fmt.Sprintf("track=%q", place(t)) }

func (p townPlatform) SelectorNow(ctx context.Context, t stages.Track) (selector string, err error) {
	err = p.read(ctx, func() {
		if u := p.units[place(t)]; u != nil {
			selector = fmt.Sprintf("track=%q", place(t)+"@"+u.Image)
		}
	})
	return selector, err
}

func (p townPlatform) Diagnose(context.Context, stages.Track) (string, error) {
	return "pod user-service-1: exit code 1", nil
}

// Guard looks once a second.
func (p townPlatform) Guard(ctx context.Context, t stages.Track) error {
	for missing := 0; missing < 2; missing++ {
		if (pipeline.RealClock{}).Sleep(ctx, time.Second) != nil {
			return nil
		}
		var pods int
		if p.read(ctx, func() { pods = p.units[place(t)].pods() }) != nil {
			return nil
		}
		if pods > 0 {
			missing = -1
		}
	}
	return fmt.Errorf("%w: none of its pods is ready", stages.ErrNotReady)
}

func short(image string) string { return image[strings.LastIndexByte(image, ':')+1:] }

type savedUnit struct {
	At   string `json:"at"`
	Unit *unit  `json:"unit"`
}

func (p townPlatform) SaveTrack(ctx context.Context, t stages.Track, _ stages.Release) (raw json.RawMessage, err error) {
	err = p.read(ctx, func() { raw, _ = json.Marshal(savedUnit{place(t), p.units[place(t)]}) })
	return raw, err
}

func (p townPlatform) RestoreTrack(ctx context.Context, was json.RawMessage, hurry bool) error {
	var saved savedUnit
	if err := json.Unmarshal(was, &saved); err != nil {
		return err
	}
	err := p.change(ctx, "restore "+saved.At, func() {
		u := p.units[saved.At]
		if saved.Unit == nil || u == nil {
			p.leave(saved.At, "restore")
			delete(p.units, saved.At)
			return
		}
		n := saved.Unit.Replicas
		if saved.At == stableAt {
			n = max(n, u.Replicas)
		}
		if n < u.Replicas {
			p.leave(saved.At, "restore")
			u.Ready, u.former = min(u.Ready, n), min(u.former, n)
		}
		p.take(saved.At, u, saved.Unit.Image)
		u.Replicas, u.fallen = n, false
	})
	if err != nil || hurry || saved.Unit == nil {
		return err
	}
	if err := (pipeline.RealClock{}).Sleep(ctx, 700*time.Millisecond); err != nil {
		return err
	}
	return p.read(ctx, func() {
		if u := p.units[saved.At]; u != nil {
			u.Ready, u.former = u.Replicas, 0
		}
	})
}

func (p townPlatform) Autoscaler(ctx context.Context, w stages.Workload) (a stages.Autoscaler, err error) {
	err = p.read(ctx, func() {
		if now := p.hpas[w.String()]; now != nil {
			a = *now
		}
	})
	return a, err
}

func (p townPlatform) SetMinimum(ctx context.Context, a stages.Autoscaler, from, to int) error {
	var drift error
	err := p.change(ctx, fmt.Sprintf("%s has at least %d", a.Workload, to), func() {
		now := p.hpas[a.Workload.String()]
		if now == nil || now.Min != from && now.Min != to {
			drift = &stages.DriftError{Thing: a.String()}
			return
		}
		now.Min = to
	})
	if err != nil {
		return err
	}
	return drift
}

func (p townPlatform) Size(ctx context.Context, t stages.Track) (n int, err error) {
	err = p.read(ctx, func() {
		if u := p.units[place(t)]; u != nil {
			n = u.Replicas
		}
	})
	return n, err
}

func (p townPlatform) Resize(ctx context.Context, t stages.Track, replicas int) error {
	at := place(t)
	return p.change(ctx, fmt.Sprintf("%s has %d pods", at, replicas), func() {
		if replicas < p.units[at].Replicas {
			p.leave(at, "resize")
		}
		p.units[at].Replicas = replicas
		p.units[at].Ready = min(p.units[at].Ready, replicas)
	})
}

func (p townPlatform) Tidy(ctx context.Context, t stages.Track) error {
	return p.change(ctx, "tidy "+place(t), func() {})
}

func (p townPlatform) Drains(ctx context.Context, _ stages.Workload) (n int, err error) {
	err = p.read(ctx, func() { n = p.drains })
	return n, err
}

// townRouter is the part that splits traffic.
type townRouter struct {
	*town
	name  string
	split stages.Split
}

func (w *town) router(t stages.Traffic, s stages.Split) stages.Router {
	r := townRouter{w, mainRoute, s}
	if router, name := t.Router(); router == stages.ServiceRouter && name == "preview" {
		r.name = previewer
	}
	if w.counting {
		return countingRouter{r}
	}
	return r
}

type savedRoute struct {
	Name   string             `json:"name"`
	Split  stages.Split       `json:"split"`
	Shares map[string]float64 `json:"shares"`
	Size   int                `json:"size"`
}

func (w *town) routerOf(was json.RawMessage) (stages.Router, error) {
	var saved savedRoute
	if err := json.Unmarshal(was, &saved); err != nil {
		return nil, err
	}
	r := townRouter{w, saved.Name, saved.Split}
	if w.counting {
		return countingRouter{r}, nil
	}
	return r, nil
}

func (r townRouter) Name() string { return r.name }

func (r townRouter) Weight(ctx context.Context) (weight float64, err error) {
	err = r.read(ctx, func() { weight = r.routes[r.name][place(r.split.New)] })
	return weight, err
}

func (r townRouter) SetWeight(ctx context.Context, from, to float64) error {
	fresh, old := place(r.split.New), place(r.split.Old)
	if now, err := r.Weight(ctx); err != nil || now != from && now != to {
		return &stages.DriftError{Thing: r.name, Found: fmt.Sprint(now), Want: fmt.Sprint(from), By: "kubectl"}
	}
	return r.change(ctx, fmt.Sprintf("%s gets %g", fresh, to), func() {
		r.set(map[string]float64{fresh: to, old: 100 - to})
	})
}

func (r townRouter) set(shares map[string]float64) {
	before := r.routes[r.name]
	r.routes[r.name] = shares
	if r.name != mainRoute {
		return
	}
	for at, weight := range before {
		if weight > 0 && shares[at] == 0 {
			r.ended[at] = time.Now()
		}
	}
	r.remember()
	for at, weight := range shares {
		if weight > 0 {
			delete(r.ended, at)
		}
	}
	r.moved(place(r.split.New), shares[place(r.split.New)])
}

func (r townRouter) Snapshot(ctx context.Context) (raw json.RawMessage, err error) {
	err = r.read(ctx, func() {
		saved := savedRoute{Name: r.name, Split: r.split, Shares: r.routes[r.name]}
		if u := r.units[place(r.split.Old)]; u != nil {
			saved.Size = u.Replicas
		}
		raw, err = json.Marshal(saved)
	})
	return raw, err
}

func (r townRouter) Restore(ctx context.Context, was json.RawMessage) error {
	var saved savedRoute
	if err := json.Unmarshal(was, &saved); err != nil {
		return err
	}
	return r.change(ctx, "restore "+saved.Name, func() { r.set(saved.Shares) })
}

// Settle leaves nothing of the old track.
func (r townRouter) Settle(ctx context.Context) error {
	fresh := place(r.split.New)
	return r.change(ctx, "settle "+r.name, func() {
		if r.routes[r.name][fresh] != 100 {
			r.bad("settled at %g%%", r.routes[r.name][fresh])
		}
		r.set(map[string]float64{fresh: 100})
	})
}

// countingRouter splits by the numbers of pods.
type countingRouter struct{ townRouter }

// Pods shares a size out.
func (c countingRouter) Pods(weight float64, size int) (old, fresh int) {
	fresh = podsFor(size, weight)
	return size - fresh, fresh
}

func (c countingRouter) size(n int) {
	u := c.units[stableAt]
	u.Replicas, u.Ready, u.former = n, n, 0
}

func (c countingRouter) SetWeight(ctx context.Context, _, to float64) error {
	return c.change(ctx, fmt.Sprintf("%s gets %g", canaryAt, to), func() {
		old, _ := c.Pods(to, c.need)
		c.size(old)
		c.set(map[string]float64{canaryAt: to, stableAt: 100 - to})
	})
}

func (c countingRouter) Restore(ctx context.Context, was json.RawMessage) error {
	var saved savedRoute
	if err := json.Unmarshal(was, &saved); err != nil {
		return err
	}
	return c.change(ctx, "restore "+saved.Name, func() { c.size(saved.Size); c.set(saved.Shares) })
}

// Permissions are named by the workload, wherever that is.
func (p townPlatform) Permissions(w stages.Workload) []string {
	return []string{"update " + w.String()}
}
