package stages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// The images and places of a town.
const (
	oldImage = "shop/user@sha256:old"
	newImage = "shop/user@sha256:new"

	stableAt = "shop/user-service"
	canaryAt = "shop/user-service-canary"
	blueAt   = "shop/user-service-blue"
	greenAt  = "shop/user-service-green"

	mainRoute = "httpRoute shop/user-service"
	previewer = "service shop/preview"
)

// town is an honest fake of Deployments, routes and autoscalers. After every
// change it checks what users would notice: that pods were there before
// traffic, and that they stayed until their traffic had ended.
type town struct {
	mu     sync.Mutex
	units  map[string]*unit
	routes map[string]map[string]float64 // by route: percentages by place
	hpas   map[string]*stages.Autoscaler
	brings int // the minimum in the release's manifest of an autoscaler
	// need is how many pods all traffic needs.
	need int
	// sick is an image whose pods never get ready.
	sick   string
	errors func(at, image string, weight float64) float64
	// moved is called after every change of the main route.
	moved func(at string, weight float64)
	// counting makes the numbers of pods what splits the traffic.
	counting bool
	// drains is how long the pods of present templates go on serving.
	drains  int
	without bool // no Restorer
	// applied are the manifests that a place has taken, by their text; the
	// release's are in manifests, "" for those that no one can compare.
	applied   map[string]string
	manifests string

	past  []moment
	ended map[string]time.Time // when a place has lost its traffic
	log   []string
	wrong []string
	life  *life
}

// unit is one Deployment.
type unit struct {
	Image    string `json:"image"`
	Replicas int    `json:"replicas"`
	// ready pods run the image, former ones what was there before it.
	Ready  int `json:"ready"`
	former int
	// fallen pods do not come back, as when a process ends at once.
	fallen  bool
	Version int `json:"version"`
	by      string
	// fast is a unit that takes releases at another pace than its own.
	fast bool
}

func (u *unit) pods() int {
	if u == nil {
		return 0
	}
	return u.Ready + u.former
}

// moment is what the traffic was at a time; autoscalers see it late.
type moment struct {
	at     time.Time
	shares map[string]float64
}

// metricsLag is how old what autoscalers see is.
const metricsLag = 30 * time.Second

func newTown(at ...string) *town {
	w := &town{
		units: map[string]*unit{}, hpas: map[string]*stages.Autoscaler{}, need: 5,
		errors: func(string, string, float64) float64 { return 0 },
		moved:  func(string, float64) {}, applied: map[string]string{}, ended: map[string]time.Time{}, life: &life{},
	}
	for _, place := range at {
		w.units[place] = &unit{Image: oldImage, Replicas: 5, Ready: 5, Version: 1}
	}
	w.routes = map[string]map[string]float64{mainRoute: {}, previewer: {}}
	if len(at) > 0 {
		w.routes[mainRoute][at[0]], w.routes[previewer][at[0]] = 100, 100
	}
	w.remember()
	return w
}

func place(t stages.Track) string {
	if t.Name == stages.Canary {
		return t.Workload.String() + "-canary"
	}
	return t.Workload.String()
}

func (w *town) bad(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *town) remember() {
	w.past = append(w.past, moment{time.Now(), maps.Clone(w.routes[mainRoute])})
}

// seen is the traffic as autoscalers see it.
func (w *town) seen() map[string]float64 {
	last := w.past[0].shares
	for _, m := range w.past {
		if time.Since(m.at) >= metricsLag {
			last = m.shares
		}
	}
	return last
}

func podsFor(need int, weight float64) int { return int(math.Ceil(float64(need)*weight/100 - 1e-9)) }

// scale lets the autoscalers do what they would, at their worst: at once.
func (w *town) scale() {
	seen := w.seen()
	for at, a := range w.hpas {
		u := w.units[at]
		if u == nil || u.Replicas == 0 {
			continue
		}
		n := min(max(podsFor(w.need, seen[at]), a.Min), a.Max)
		if n < u.Replicas {
			u.Ready = min(u.Ready, n)
		} else if n > u.Replicas && u.Ready > 0 {
			u.Ready = n
		}
		u.Replicas = n
	}
	w.check("an autoscaler")
}

// check holds the town to its promise to users.
func (w *town) check(what string) {
	if w.counting {
		if n := w.units[stableAt].pods() + w.units[canaryAt].pods(); n < w.need {
			w.bad("%s: %d pods where %d are needed", what, n, w.need)
		}
		return
	}
	for at, weight := range w.routes[mainRoute] {
		if u := w.units[at]; weight > 0 && (u == nil || !u.fallen) && u.pods() < podsFor(w.need, weight) {
			w.bad("%s: %g%% of the traffic on %d pods of %s, %d are needed", what, weight, u.pods(), at, podsFor(w.need, weight))
		}
	}
}

// leave is called before pods of a place end.
func (w *town) leave(at, why string) {
	if w.counting || w.units[at].pods() == 0 {
		return
	}
	if since, ok := w.ended[at]; ok && time.Since(since) < 5*time.Second {
		w.bad("%s: pods of %s end %s after their traffic", why, at, time.Since(since))
	}
}

// change makes one change of the world in the present life.
func (w *town) change(ctx context.Context, line string, effect func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.life.at(func() {
		w.log = append(w.log, line)
		effect()
		w.scale()
		w.check(line)
	})
}

func (w *town) read(ctx context.Context, look func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life.dead {
		return errDead
	}
	w.scale()
	look()
	return ctx.Err()
}

func (w *town) prometheus(query string, at time.Time) gates.Reply {
	for place, u := range w.units {
		image, now := u.Image, fmt.Sprintf("track=%q", place+"@"+u.Image)
		if !containsAny(query, now, fmt.Sprintf("track=%q", place)) || u.pods() == 0 {
			continue
		}
		v := w.errors(place, image, w.routes[mainRoute][place])
		return gates.Reply{Kind: gates.Vector, Series: []gates.Series{{Points: []gates.Point{{Time: at, Value: v}}}}}
	}
	return gates.Reply{Kind: gates.Vector}
}

// Query answers `errors{track=...}`.
func (w *town) Query(ctx context.Context, query string, at time.Time) (reply gates.Reply, err error) {
	if at.IsZero() {
		at = time.Now()
	}
	err = w.read(ctx, func() { reply = w.prometheus(query, at) })
	return reply, err
}

var errDead = errors.New("this life is over")

// life is one process, which dies at its n-th touch of the outside: before
// that has had its effect, or after it.
type life struct {
	n, dieAt int
	after    bool
	dead     bool
	end      func()
}

func (l *life) at(effect func()) error {
	if l.dead {
		return errDead
	}
	l.n++
	if l.n != l.dieAt {
		effect()
		return nil
	}
	if l.after {
		effect()
	}
	l.dead = true
	l.end()
	return errDead
}

// diary is a journal of which only what was written in a life is left.
type diary struct {
	town   *town
	events []pipeline.Event
}

func (d *diary) Peek(context.Context) (events []pipeline.Event, err error) {
	return append([]pipeline.Event(nil), d.events...), nil
}

func (d *diary) Open(ctx context.Context, _ pipeline.Info) (pipeline.Journal, error) {
	found, err := d.Peek(ctx)
	return &openDiary{d, d.town.life, found, make(chan struct{})}, err
}

type openDiary struct {
	*diary
	life  *life
	found []pipeline.Event
	lost  chan struct{}
}

func (o *openDiary) Events() []pipeline.Event                   { return o.found }
func (o *openDiary) Lost() <-chan struct{}                      { return o.lost }
func (o *openDiary) Close(context.Context, time.Duration) error { return nil }
func (o *openDiary) Reset(context.Context) error {
	return o.life.at(func() { o.events, o.found = nil, nil })
}

func (o *openDiary) Append(ctx context.Context, e pipeline.Event) error {
	b, err := json.Marshal(e)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	var back pipeline.Event
	if err := json.Unmarshal(b, &back); err != nil {
		return err
	}
	o.town.mu.Lock()
	defer o.town.mu.Unlock()
	return o.life.at(func() { o.events = append(o.events, back) })
}

// outing is one life of a run in a town.
type outing struct {
	file    string
	diary   *diary
	recover bool
	rec     recorder
}

func (w *town) parts() *stages.Parts {
	var p stages.Platform = townPlatform{w}
	if w.without {
		p = struct{ stages.Platform }{p}
	}
	return &stages.Parts{
		Platform: p, Registry: images{}, Namespace: "shop", Flags: redis{newCity()},
		Router:   func(t stages.Traffic, s stages.Split) (stages.Router, error) { return w.router(t, s), nil },
		RouterOf: w.routerOf,
		Gates:    gates.Providers{Metrics: w},
		Manifests: func(context.Context, stages.Manifests) ([]json.RawMessage, error) {
			return []json.RawMessage{[]byte(`{"is":"` + w.manifests + `"}`)}, nil
		},
	}
}

func (w *town) runner(t *testing.T, o *outing) *pipeline.Runner {
	t.Helper()
	parts := w.parts()
	p, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: []byte(o.file)}, stages.Grammar(parts))
	if problems.HasErrors() {
		t.Fatalf("parse: %v", problems)
	}
	return &pipeline.Runner{
		Pipeline: p, Info: pipeline.Info{ID: "run-1", Pipeline: p.Name, Digest: p.Digest(nil)},
		Store: o.diary, Clock: pipeline.RealClock{}, Sinks: []pipeline.Sink{&o.rec}, Undoers: stages.Undoers(parts),
		Values: pipeline.Values{Vars: p.VarValues()},
	}
}

// live runs one life of a run.
func (w *town) live(ctx context.Context, t *testing.T, o *outing, l *life) pipeline.Result {
	t.Helper()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.end = func() { cancel(errDead) }
	w.mu.Lock()
	w.life = l
	w.mu.Unlock()
	if o.diary == nil {
		o.diary = &diary{town: w}
	}
	r := w.runner(t, o)
	if o.recover {
		return r.Recover(ctx)
	}
	return r.Run(ctx)
}

// release runs a file in one life that does not end early.
func (w *town) release(ctx context.Context, t *testing.T, file string) (pipeline.Result, *recorder) {
	t.Helper()
	o := &outing{file: file}
	return w.live(ctx, t, o, &life{}), &o.rec
}

func (w *town) isWell(t *testing.T) {
	t.Helper()
	for _, wrong := range w.wrong {
		t.Error(wrong)
	}
}

// hpaOf is an autoscaler that may take all pods but one away.
func hpaOf(at string) *stages.Autoscaler {
	namespace, name, _ := strings.Cut(at, "/")
	return &stages.Autoscaler{
		Kind: "HorizontalPodAutoscaler", Workload: stages.Workload{Namespace: namespace, Name: name},
		Namespace: namespace, Name: name, Min: 1, Max: 20,
	}
}
