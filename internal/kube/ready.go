package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/headgate-dev/headgate/stages"
)

// lookAgain is how often a track that does not get ready is looked at without
// anything having changed, for the clocks and the events.
const lookAgain = 500 * time.Millisecond

// eventsAfter is how long a track may stand still before events are read.
const eventsAfter = 3 * time.Second

// errReadyTimeout is why AwaitReady's own deadline ended it.
var errReadyTimeout = errors.New("the time to get ready is over")

// AwaitReady waits until a track is ready; see [stages.Platform]. It watches,
// so that it knows within milliseconds of the cluster's knowing.
func (p *Platform) AwaitReady(ctx context.Context, t stages.Track, replicas int, report func(line string)) error {
	return p.await(ctx, awaited{track: t, replicas: replicas, report: report})
}

// awaited is what a wait is for.
type awaited struct {
	track    stages.Track
	replicas int
	report   func(line string)
	// restored says that the track was put back. What the Deployment controller
	// says of the rollout before then is no verdict about it: it keeps saying
	// that the deadline was exceeded until the first pod has moved.
	restored bool
}

func (p *Platform) await(ctx context.Context, a awaited) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.set.ReadyTimeout, errReadyTimeout)
		defer cancel()
	}
	w, err := p.waiter(ctx, a.track, a.replicas)
	if err != nil {
		return wrap("wait for "+a.track.String(), err)
	}
	defer w.mirrors.Close()
	w.report, w.restored = a.report, a.restored
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		done, err := w.look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-w.mirrors.Changed():
		case <-tick.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return w.giveUp(ctx, fmt.Sprintf("not ready after %s", time.Since(w.began).Round(time.Second)))
		}
	}
}

// waiter is one wait for one track.
type waiter struct {
	p        *Platform
	track    stages.Track
	replicas int
	mirrors  *Mirrors
	report   func(string)
	restored bool

	deployment, sets, pods, slices *Mirror
	services                       []string

	began, moved time.Time
	best         int
	// since is when each problem was first seen, alive when each running
	// container, by id, was: the clocks of nodes are not ours.
	since    map[string]time.Time
	alive    map[string]time.Time
	problems []Problem
	line     string

	current, told string
	currentSince  time.Time

	events   []corev1.Event
	eventsAt time.Time
}

// waiter begins to watch what makes up a track.
func (p *Platform) waiter(ctx context.Context, t stages.Track, replicas int) (*waiter, error) {
	ns, name := p.c.ns(t.Workload), trackName(t)
	u, err := p.c.Get(ctx, deployments(), ns, name)
	if err != nil {
		return nil, err
	}
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read selector of deployment %s: %w", name, err)
	}
	svcs, err := listAs[corev1.Service](ctx, p.c, services(), ns, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w := &waiter{
		p: p, track: t, replicas: replicas, mirrors: p.c.Mirrors(ctx), began: time.Now(), moved: time.Now(),
		best: -1, since: map[string]time.Time{}, alive: map[string]time.Time{},
	}
	for _, s := range selectingAll(svcs, d.Spec.Template.Labels) {
		w.services = append(w.services, s.Name)
	}
	slices.Sort(w.services)
	byLabel := metav1.ListOptions{LabelSelector: selector.String()}
	w.deployment = w.mirrors.Add(deployments(), ns, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	w.sets = w.mirrors.Add(replicaSets(), ns, byLabel)
	w.pods = w.mirrors.Add(pods(), ns, byLabel)
	if len(w.services) > 0 {
		w.slices = w.mirrors.Add(endpointSlices(), ns, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + " in (" + strings.Join(w.services, ",") + ")",
		})
	}
	return w, nil
}

// look judges what the cluster shows now.
func (w *waiter) look(ctx context.Context) (done bool, err error) {
	o, err := w.observe()
	if err != nil || o == nil {
		return false, err
	}
	wanted, err := w.wanted(o)
	if err != nil {
		return false, err
	}
	o.running = w.running
	pr := o.readiness(wanted)
	if pr.score > w.best {
		w.best, w.moved = pr.score, time.Now()
	}
	if pr.ready {
		w.tell(pr.line)
		return true, nil
	}
	if time.Since(w.moved) > eventsAfter && time.Since(w.eventsAt) > eventsAfter {
		w.readEvents(ctx)
	}
	w.line = pr.line
	if _, ok := w.diagnose(o); ok {
		// The newest events tell what killed a container, and whether a node
		// is on its way.
		w.readEvents(ctx)
		if still, ok := w.diagnose(o); ok {
			return false, w.notReady(ctx, still)
		}
	}
	line := pr.line
	if i := slices.IndexFunc(w.problems, func(q Problem) bool { return time.Since(w.since[q.key()]) >= q.Quiet }); i >= 0 {
		line += "; " + w.problems[i].Cause
	}
	w.say(line)
	if limit := w.patience(o); time.Since(w.moved) > limit {
		return false, w.giveUp(ctx, fmt.Sprintf("nothing has changed for %s", limit.Round(time.Second)))
	}
	if !w.restored && late(o.deployment) {
		return false, w.giveUp(ctx, "its progressDeadlineSeconds are over")
	}
	return false, nil
}

// wanted is how many pods the track shall have. The number of a Deployment of
// the user's own is an autoscaler's to raise; that of a canary is nobody's but
// ours, unless it has an autoscaler of its own.
func (w *waiter) wanted(o *observed) (int, error) {
	if o.deployment == nil {
		return max(w.replicas, 1), nil
	}
	n := wantedReplicas(o.deployment)
	if n == w.replicas || n > w.replicas && w.mayGrow(o.deployment) {
		return n, nil
	}
	return 0, &stages.DriftError{
		Thing: "the size of deployment " + o.deployment.Namespace + "/" + o.deployment.Name,
		Found: fmt.Sprint(n), Want: fmt.Sprint(w.replicas),
	}
}

func (w *waiter) mayGrow(d *appsv1.Deployment) bool {
	return w.track.Name != stages.Canary || d.Annotations[scaledAnnotation] != ""
}

// observe decodes the mirrors; nil while they are not complete.
func (w *waiter) observe() (*observed, error) {
	o := &observed{services: w.services, workload: w.track.Workload.Name}
	ok := true
	for _, m := range []*Mirror{w.deployment, w.sets, w.pods, w.slices} {
		if m == nil {
			continue
		}
		_, synced, err := m.Objects()
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return nil, fmt.Errorf("wait for %s: %w", w.track, err)
		}
		if err != nil {
			w.say("the cluster does not answer: " + sentence(err.Error()))
		}
		ok = ok && synced && err == nil
	}
	if !ok {
		return nil, nil
	}
	ds, err := objectsOf[appsv1.Deployment](w.deployment)
	if err != nil {
		return nil, err
	}
	if len(ds) > 0 {
		o.deployment = &ds[0]
	}
	if o.sets, err = objectsOf[appsv1.ReplicaSet](w.sets); err != nil {
		return nil, err
	}
	if o.pods, err = objectsOf[corev1.Pod](w.pods); err != nil {
		return nil, err
	}
	if w.slices != nil {
		o.slices, err = objectsOf[discoveryv1.EndpointSlice](w.slices)
	}
	return o, err
}

func objectsOf[T any](m *Mirror) ([]T, error) {
	us, _, _ := m.Objects()
	return decodeAll[T](us)
}

// readEvents reads the events of the namespace.
func (w *waiter) readEvents(ctx context.Context) {
	w.eventsAt = time.Now()
	w.events = w.p.eventsOf(ctx, w.p.c.ns(w.track.Workload))
}

// running says for how long a container has run, as far as this process can
// tell without trusting the node's clock by more than a minute.
func (w *waiter) running(cs corev1.ContainerStatus) time.Duration {
	if cs.State.Running == nil {
		return 0
	}
	if d := time.Since(cs.State.Running.StartedAt.Time); d > 2*time.Minute {
		return d
	}
	began, ok := w.alive[cs.ContainerID]
	if !ok {
		began = time.Now()
		w.alive[cs.ContainerID] = began
	}
	return time.Since(began)
}

// diagnose finds the problems that there are now, and returns the first that
// has lasted for longer than its grace.
func (w *waiter) diagnose(o *observed) (Problem, bool) {
	o.events = w.events
	w.problems = o.diagnose(w.p.set.Restarts)
	seen := map[string]bool{}
	for _, q := range w.problems {
		seen[q.key()] = true
		if _, ok := w.since[q.key()]; !ok {
			w.since[q.key()] = time.Now()
		}
	}
	for key := range w.since {
		if !seen[key] {
			delete(w.since, key)
		}
	}
	for i, q := range w.problems {
		if o.hurried() && (q.Code == Quota || q.Code == Unschedulable) {
			w.problems[i].Grace = Patient // There is room as old pods go.
			continue
		}
		if q.Grace != Patient && time.Since(w.since[q.key()]) >= q.Grace {
			return q, true
		}
	}
	return Problem{}, false
}

// hurried reports whether the track may start all of its pods at once, more
// than there may be room for.
func (o observed) hurried() bool {
	return o.deployment != nil && o.deployment.Annotations[surgeAnnotation] != ""
}

// patience is how long nothing may happen.
func (w *waiter) patience(o *observed) time.Duration {
	limit := w.p.set.NoProgress
	if o.deployment == nil {
		return limit
	}
	spec := o.deployment.Spec
	limit = max(limit, probeBudget(spec.Template.Spec)+seconds(spec.MinReadySeconds, 0)+30*time.Second)
	fresh, _ := o.newPods()
	for _, p := range fresh {
		for _, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			// It may be an image that takes long to fetch.
			if wait := cs.State.Waiting; wait != nil && (wait.Reason == "ContainerCreating" || wait.Reason == "PodInitializing") && spec.ProgressDeadlineSeconds != nil {
				limit = max(limit, seconds(*spec.ProgressDeadlineSeconds, 600))
			}
		}
	}
	return limit
}

// late reports whether the Deployment controller has given up.
func late(d *appsv1.Deployment) bool {
	return d != nil && d.Status.ObservedGeneration >= d.Generation && slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
	})
}

// say reports a line when it is a new one and has been true for a moment; most
// of what a rollout goes through has not.
func (w *waiter) say(line string) {
	if line != w.current {
		w.current, w.currentSince = line, time.Now()
	}
	if time.Since(w.currentSince) >= lookAgain/2 {
		w.tell(line)
	}
}

func (w *waiter) tell(line string) {
	if line != w.told && w.report != nil {
		w.told = line
		w.report(line)
	}
}

// notReady makes the error about a fatal problem; a container that ran gets
// its last words added.
func (w *waiter) notReady(ctx context.Context, q Problem) error {
	e := &stages.NotReadyError{Track: w.track, Code: q.Code, Cause: q.Cause, Action: q.Action}
	if last := w.p.lastWords(ctx, w.p.c.ns(w.track.Workload), q); last != "" {
		e.Cause += "; its last line: " + last
	}
	return e
}

// giveUp makes the error of a timeout, which ends with what is known.
func (w *waiter) giveUp(ctx context.Context, why string) error {
	e := &stages.NotReadyError{
		Track: w.track, Code: Timeout, Cause: why,
		Action: "raise the stage's readyTimeout if it only needs longer: kubectl -n " + w.p.c.ns(w.track.Workload) + " rollout status deployment/" + trackName(w.track),
	}
	if w.line != "" {
		e.Cause += ": " + w.line
	}
	if len(w.problems) > 0 {
		q := w.problems[0]
		e.Code, e.Action = q.Code, q.Action
		e.Cause += "; " + q.Cause
		// The time that is over is that of the pods, not that for telling why.
		if last := w.p.lastWords(context.WithoutCancel(ctx), w.p.c.ns(w.track.Workload), q); last != "" {
			e.Cause += "; its last line: " + last
		}
	}
	return e
}
