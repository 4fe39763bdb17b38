package stages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// city is an honest fake of all that a rollout touches. It keeps what users
// would notice: after every change it checks that no traffic goes to pods that
// are not ready, and that capacity came before weight.
type city struct {
	mu     sync.Mutex
	tracks map[string]*fakeTrack // by track name
	weight float64
	routed bool // the route has a second backend
	flag   stages.Flag
	sick   string // image that never gets ready
	errors func(track, image string, weight float64) float64
	log    []string
	wrong  []string
	fail   map[string]error // by the line of the log that would be written
	noProm bool
	// manifests reads those of the release.
	manifests func(context.Context, stages.Manifests) ([]json.RawMessage, error)
	edited    bool // somebody else has changed the user's Deployment
	// guard, when set, makes the platform a [stages.Guard].
	guard func(ctx context.Context, t stages.Track) error
}

type fakeTrack struct {
	image           string
	replicas, ready int
}

func newCity() *city {
	return &city{
		tracks: map[string]*fakeTrack{stages.Stable: {image: "shop/user@sha256:old", replicas: 5, ready: 5}},
		flag:   stages.Flag{Name: "new_profile", Exists: true, Enabled: true, Percentage: 5, Version: 7},
		errors: func(string, string, float64) float64 { return 0 },
		fail:   map[string]error{},

		manifests: func(context.Context, stages.Manifests) ([]json.RawMessage, error) {
			return []json.RawMessage{[]byte(`{}`)}, nil
		},
	}
}

func (c *city) did(ctx context.Context, format string, args ...any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	line := fmt.Sprintf(format, args...)
	if err := c.fail[line]; err != nil {
		return err
	}
	c.log = append(c.log, line)
	return nil
}

func (c *city) check() {
	canary, stable := c.tracks[stages.Canary], c.tracks[stages.Stable]
	if c.weight > 0 {
		share := 0
		if canary != nil {
			share = canary.ready
		}
		if float64(share) < 5*c.weight/100-1e-9 {
			c.wrong = append(c.wrong, fmt.Sprintf("%.0f%% of the traffic on %d canary pods", c.weight, share))
		}
	}
	if c.weight < 100 && (stable == nil || stable.ready == 0) {
		c.wrong = append(c.wrong, "traffic on a stable track without pods")
	}
}

// platform is the part of the city that runs pods.
type platform struct{ *city }

func (p platform) Live(ctx context.Context, _ stages.Workload) (stages.Live, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tracks[stages.Stable]
	if t == nil {
		return stages.Live{}, ctx.Err()
	}
	version, by := "1", ""
	if p.edited {
		version, by = "2", "kubectl-edit"
	}
	return stages.Live{Exists: true, Replicas: t.replicas, By: by, Images: map[string]string{"user": t.image, "proxy": "mesh/proxy@sha256:1"}, Version: version}, ctx.Err()
}

func (p platform) SetTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.did(ctx, "%s runs %s x%d", t.Name, r.Image, replicas); err != nil {
		return err
	}
	now := p.tracks[t.Name]
	if now == nil {
		now = &fakeTrack{replicas: max(replicas, 1)}
		p.tracks[t.Name] = now
	}
	if replicas >= 0 {
		now.replicas = replicas
	}
	if t.Name == stages.Stable && now.image != "" && p.weight < 100 {
		p.wrong = append(p.wrong, "stable was changed while it had traffic")
	}
	if now.image != r.Image {
		now.image, now.ready = r.Image, 0
	}
	p.check()
	return nil
}

func (p platform) AwaitReady(ctx context.Context, t stages.Track, replicas int, report func(string)) error {
	report("waiting for " + t.Name)
	if err := (pipeline.RealClock{}).Sleep(ctx, 700*time.Millisecond); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.tracks[t.Name]
	if now == nil {
		return fmt.Errorf("track %s is gone", t.Name)
	}
	if now.image == p.sick {
		return &stages.NotReadyError{Track: t, Code: "CrashLoop", Cause: "the container exits with 1"}
	}
	if now.replicas != replicas {
		return fmt.Errorf("waiting for %d pods of %d", replicas, now.replicas)
	}
	now.ready = replicas
	return nil
}

func (p platform) RemoveTrack(ctx context.Context, t stages.Track, _ bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracks[t.Name] == nil {
		return ctx.Err()
	}
	if err := p.did(ctx, "remove %s", t.Name); err != nil {
		return err
	}
	delete(p.tracks, t.Name)
	if t.Name == stages.Canary {
		p.check()
	}
	return nil
}

func (p platform) Selector(t stages.Track) string { return `track="` + t.Name + `"` }

func (p platform) Diagnose(context.Context, stages.Track) (string, error) {
	return "pod user-service-canary-1: exit code 1", nil
}

// router is the part that splits traffic.
type router struct{ *city }

func (r router) Name() string { return "httpRoute shop/user-service" }
func (r router) Weight(ctx context.Context) (float64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.weight, ctx.Err()
}

func (r router) SetWeight(ctx context.Context, from, to float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.weight != from && r.weight != to {
		return &stages.DriftError{Thing: r.Name(), Found: fmt.Sprint(r.weight), Want: fmt.Sprint(from), By: "kubectl"}
	}
	if err := r.did(ctx, "weight %g", to); err != nil {
		return err
	}
	r.weight, r.routed = to, true
	r.check()
	return nil
}

func (r router) Snapshot(ctx context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{"route":"user-service"}`), ctx.Err()
}

func (r router) Restore(ctx context.Context, was json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if string(was) != `{"route":"user-service"}` {
		return fmt.Errorf("strange snapshot %s", was)
	}
	if err := r.did(ctx, "restore route"); err != nil {
		return err
	}
	r.weight, r.routed = 0, false
	r.check()
	return nil
}

// redis is the part that keeps flags.
type redis struct{ *city }

func (r redis) Get(ctx context.Context, name string) (stages.Flag, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != r.flag.Name {
		return stages.Flag{Name: name}, ctx.Err()
	}
	return r.flag, ctx.Err()
}

func (r redis) Set(ctx context.Context, w stages.FlagWrite) (stages.Flag, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.Expect != r.flag.Version {
		return r.flag, &stages.DriftError{Thing: "flag " + w.Name}
	}
	if err := r.did(ctx, "flag %g", w.Percentage); err != nil {
		return r.flag, err
	}
	r.flag.Percentage, r.flag.Enabled = w.Percentage, true
	r.flag.Version++
	return r.flag, nil
}

func (r redis) Restore(ctx context.Context, was stages.Flag, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.did(ctx, "flag back to %g", was.Percentage); err != nil {
		return err
	}
	version := r.flag.Version + 1
	r.flag = was
	r.flag.Version = version
	return nil
}

// images resolves what the city knows.
type images struct{}

func (images) Resolve(_ context.Context, image string) (string, error) {
	if strings.Contains(image, "missing") {
		return "", fmt.Errorf("image %s: manifest unknown", image)
	}
	return image, nil
}

// prometheus answers `errors{track=...}` with what the city says.
type prometheus struct{ *city }

func (p prometheus) Query(ctx context.Context, query string, at time.Time) (gates.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return gates.Reply{}, context.Cause(ctx)
	}
	if p.noProm {
		return gates.Reply{}, &gates.QueryError{Retryable: true, Err: errors.New("connection refused")}
	}
	name := stages.Stable
	if strings.Contains(query, `track="canary"`) {
		name = stages.Canary
	}
	t := p.tracks[name]
	if t == nil {
		return gates.Reply{Kind: gates.Vector}, nil
	}
	if at.IsZero() {
		at = time.Now()
	}
	v := p.errors(name, t.image, p.weight)
	return gates.Reply{Kind: gates.Vector, Series: []gates.Series{{Points: []gates.Point{{Time: at, Value: v}}}}}, nil
}

// parts returns the city as the parts of stages.
func (c *city) parts() *stages.Parts {
	r := router{c}
	var p stages.Platform = platform{c}
	if c.guard != nil {
		p = guarding{platform{c}, c.guard}
	}
	return &stages.Parts{
		Platform: p, Flags: redis{c}, Registry: images{}, Namespace: "shop",
		Router:    func(stages.Traffic, stages.Split) (stages.Router, error) { return r, nil },
		RouterOf:  func(json.RawMessage) (stages.Router, error) { return r, nil },
		Gates:     gates.Providers{Metrics: prometheus{c}},
		Manifests: c.manifests,
	}
}

// guarding is a platform that sees when tracks lose their pods.
type guarding struct {
	platform
	guard func(ctx context.Context, t stages.Track) error
}

func (g guarding) Guard(ctx context.Context, t stages.Track) error { return g.guard(ctx, t) }

// memoryStore keeps one journal.
type memoryStore struct{ events []pipeline.Event }

func (s *memoryStore) Peek(context.Context) ([]pipeline.Event, error) { return s.events, nil }
func (s *memoryStore) Open(context.Context, pipeline.Info) (pipeline.Journal, error) {
	return &memoryJournal{memoryStore: s, found: append([]pipeline.Event(nil), s.events...), lost: make(chan struct{})}, nil
}

type memoryJournal struct {
	*memoryStore
	found []pipeline.Event
	lost  chan struct{}
}

func (j *memoryJournal) Events() []pipeline.Event { return j.found }
func (j *memoryJournal) Lost() <-chan struct{}    { return j.lost }
func (j *memoryJournal) Append(ctx context.Context, e pipeline.Event) error {
	j.events = append(j.events, e)
	return ctx.Err()
}

func (j *memoryJournal) Reset(context.Context) error {
	j.events, j.found = nil, nil
	return nil
}
func (j *memoryJournal) Close(context.Context, time.Duration) error { return nil }

// recorder keeps all events.
type recorder struct{ events []pipeline.Event }

func (r *recorder) Handle(e pipeline.Event) { r.events = append(r.events, e) }

// release runs a pipeline file in the city.
func (c *city) release(ctx context.Context, t *testing.T, file string, store pipeline.Store) (pipeline.Result, *recorder) {
	t.Helper()
	parts := c.parts()
	p, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: []byte(file)}, stages.Grammar(parts))
	if problems.HasErrors() {
		t.Fatalf("parse: %v", problems)
	}
	rec := &recorder{}
	r := &pipeline.Runner{
		Pipeline: p, Info: pipeline.Info{ID: fmt.Sprint("run-", time.Now().UnixNano()), Pipeline: p.Name, Digest: p.Digest(nil)},
		Store: store, Clock: pipeline.RealClock{}, Sinks: []pipeline.Sink{rec}, Undoers: stages.Undoers(parts),
		Values: pipeline.Values{Vars: p.VarValues()},
	}
	return r.Run(ctx), rec
}
