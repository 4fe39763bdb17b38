package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/internal/local/pods"
	"github.com/headgate-dev/headgate/stages"
)

// The codes of stages.NotReadyError from this platform; they are those of the
// Kubernetes one.
const (
	imagePull     = "ImagePull"
	crashLoop     = "CrashLoop"
	initFailed    = "InitFailed"
	configError   = "ConfigError"
	startError    = "StartError"
	notPassing    = "NotPassing"
	startupProbe  = "StartupProbe"
	livenessProbe = "LivenessProbe"
	timedOut      = "Timeout"
	lostPods      = "Lost"
)

// How patient a wait for a track is.
const (
	// restartsAllowed is how many times a container may end and be started
	// again before its track is given up.
	restartsAllowed = 2
	// noProgress is how long nothing may happen meanwhile.
	noProgress = 2 * time.Minute
	// readyTimeout is for a context without a deadline.
	readyTimeout = 10 * time.Minute
)

// AwaitReady waits until a track is ready; see [stages.Platform].
func (w *World) AwaitReady(ctx context.Context, t stages.Track, replicas int, report func(line string)) error {
	t = w.placedTrack(t)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	f := w.await(ctx, waiting{name: trackKey(t), replicas: replicas, report: report})
	if n, ok := f.(*unready); ok { //nolint:errorlint // made just there
		return &stages.NotReadyError{Track: t, Code: n.code, Cause: n.cause, Action: n.action}
	}
	return f
}

// waiting is what is waited for: a Deployment by key, with so many pods, or
// as many as it wants where replicas is less than 0.
type waiting struct {
	name     string
	replicas int
	report   func(line string)
}

// unready says why a Deployment does not get ready.
type unready struct{ fault }

func (u *unready) Error() string { return u.cause }

// await waits for a Deployment. What cannot get ready is an [*unready].
func (w *World) await(ctx context.Context, f waiting) error {
	limit := readyTimeout
	if d, ok := ctx.Deadline(); ok {
		limit = time.Until(d)
	}
	began, moved := time.Now(), time.Now()
	told, last := "", ""
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		p := w.progress(f)
		changed, closed := w.changed, w.closed
		w.mu.Unlock()
		switch {
		case closed:
			return errClosed
		case p.done:
			return nil
		case p.fatal != nil:
			return &unready{*p.fatal}
		}
		if p.sign != last {
			last, moved = p.sign, time.Now()
		}
		if p.line != told && time.Since(moved) > 100*time.Millisecond && f.report != nil {
			told = p.line
			f.report(p.line)
		}
		if idle := time.Since(moved); idle > max(noProgress, p.patience) || time.Since(began) > limit {
			return giveUp(p, time.Since(began), idle)
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func giveUp(p progress, took, idle time.Duration) error {
	u := &unready{fault{code: timedOut, cause: fmt.Sprintf("it takes longer than %s: %s", took.Round(time.Second), p.line), action: "raise readyTimeout if it only needs longer"}}
	if idle > noProgress {
		u.cause = fmt.Sprintf("nothing has happened for %s: %s", idle.Round(time.Second), p.line)
	}
	if p.running {
		u.code, u.action = notPassing, "look at the process's log, and at path and port of its readiness probe; it must listen at $(PORT)"
	}
	return u
}

// progress is how far a Deployment is.
type progress struct {
	done bool
	// line says it for people, sign changes with anything that happens.
	line, sign string
	// fatal is why it will not get ready.
	fatal *fault
	// running says that all processes run, and only probes are missing.
	running bool
	// patience is how long its probes may take by their own word.
	patience time.Duration
}

// progress looks at a Deployment; w.mu is held.
func (w *World) progress(f waiting) progress {
	d, ok := w.state.Deployments[f.name]
	if !ok {
		return progress{fatal: &fault{lostPods, "deployment " + f.name + " is not there", "another run, or a rollback, has removed it"}}
	}
	want := d.replicas()
	if f.replicas >= 0 {
		want = f.replicas
	}
	r := w.running[f.name]
	if r == nil {
		return progress{line: fmt.Sprintf("0 of %d pods started", want), done: want == 0 && d.replicas() == 0}
	}
	hash, now, least := templateHash(&d.Object), time.Now(), time.Duration(d.Object.Spec.MinReadySeconds)*time.Second
	p := progress{running: true}
	var started, ready, old int
	var sign strings.Builder
	var why string
	for _, pod := range r.pods {
		if pod.ending {
			continue
		}
		if pod.hash != hash {
			old++
			continue
		}
		started++
		if pod.available(least, now) {
			ready++
			continue
		}
		if fatal := problem(pod); fatal != nil && p.fatal == nil {
			p.fatal = fatal
		}
		text, running := condition(pod)
		p.running = p.running && running
		p.patience = max(p.patience, patience(pod))
		fmt.Fprintf(&sign, "%s=%s;", pod.name, text)
		if why == "" && text != "" {
			why = "; " + pod.name + ": " + text
		}
	}
	p.line = fmt.Sprintf("%d of %d pods ready%s", ready, want, why)
	if old > 0 {
		p.line += fmt.Sprintf("; %d of the former release are left", old)
	}
	p.sign = fmt.Sprintf("%d/%d/%d %s", started, ready, old, sign.String())
	p.done = d.replicas() == want && started == want && ready == want && old == 0
	p.running = p.running && started == want
	return p
}

// condition says what keeps a pod from being ready, and whether all of its
// processes run.
func condition(p *livePod) (text string, running bool) {
	if p.fault != nil {
		return p.fault.cause, false
	}
	running = true
	for _, c := range append(p.status.Init[:len(p.status.Init):len(p.status.Init)], p.status.Containers...) {
		if c.Ready {
			continue
		}
		running = running && c.Running
		if text == "" {
			text = c.Message
		}
	}
	return text, running
}

// patience is how long the probes of a pod may take by what they declare.
func patience(p *livePod) time.Duration {
	var longest int32
	for _, c := range p.template.Spec.Containers {
		var sum int32
		if s := c.StartupProbe; s != nil {
			sum += s.InitialDelaySeconds + max(s.PeriodSeconds, 1)*max(s.FailureThreshold, 3)
		}
		if r := c.ReadinessProbe; r != nil {
			sum += r.InitialDelaySeconds + max(r.PeriodSeconds, 1)*max(r.SuccessThreshold, 1)
		}
		longest = max(longest, sum)
	}
	return time.Duration(longest)*time.Second + 30*time.Second
}

// problem is what a pod will not get over by itself, nil if there is nothing.
func problem(p *livePod) *fault {
	if p.fault != nil {
		return p.fault
	}
	for _, c := range p.status.Init {
		if f := ended(p, c, initFailed); f != nil {
			return f
		}
	}
	for _, c := range p.status.Containers {
		if f := ended(p, c, crashLoop); f != nil {
			return f
		}
	}
	return nil
}

// ended reports a container that has ended too often, or cannot start at all.
func ended(p *livePod, c pods.ContainerStatus, code string) *fault {
	e := c.Exit
	if e == nil || c.Ready {
		return nil
	}
	if e.Reason == pods.ReasonStart {
		return &fault{startError, fmt.Sprintf("container %s of pod %s cannot be started: %s", c.Name, p.name, e.Message), "check command and dir in local.images"}
	}
	times := c.Restarts + 1
	if c.Running {
		times = c.Restarts // the one before this process was the last to end
	}
	if times <= restartsAllowed {
		return nil
	}
	how := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != "" {
		how = e.Signal
	}
	f := &fault{
		code: code, action: "read the container's last log lines",
		cause: fmt.Sprintf("container %s of pod %s ended %d times (%s)", c.Name, p.name, times, how),
	}
	switch e.Reason {
	case pods.ReasonLiveness:
		f.cause += ", since its liveness probe failed"
		f.code = livenessProbe
	case pods.ReasonStartup:
		f.cause += ", since its startup probe failed"
		f.code = startupProbe
	}
	if last := lastLine(e.Last); last != "" {
		f.cause += "; its last line: " + last
	}
	return f
}

func lastLine(lines []string) string {
	for _, l := range slices.Backward(lines) {
		if l = strings.TrimSpace(l); l != "" {
			if r := []rune(l); len(r) > 200 {
				l = string(r[:200]) + "…"
			}
			return l
		}
	}
	return ""
}

// guardGrace is how long a track with traffic may be without a ready pod.
const guardGrace = 2 * time.Second

var _ stages.Guard = (*World)(nil)

// Guard watches a track that has traffic; see [stages.Guard].
func (w *World) Guard(ctx context.Context, t stages.Track) error {
	t = w.placedTrack(t)
	var lost time.Time
	tick := time.NewTicker(guardGrace / 8)
	defer tick.Stop()
	for {
		w.mu.Lock()
		_, there := w.state.Deployments[trackKey(t)]
		serves := false
		if r := w.running[trackKey(t)]; r != nil {
			for _, p := range r.pods {
				serves = serves || p.ready()
			}
		}
		changed, closed := w.changed, w.closed
		w.mu.Unlock()
		cause := ""
		switch {
		case closed:
			return nil
		case !there:
			cause = "none of its pods can serve, since its Deployment is gone"
		case serves:
			lost = time.Time{}
		case lost.IsZero():
			lost = time.Now()
		case time.Since(lost) >= guardGrace:
			cause = fmt.Sprintf("none of its pods has been ready for %s, while it has traffic", guardGrace)
		}
		if cause != "" {
			return &stages.NotReadyError{Track: t, Code: lostPods, Cause: cause, Action: "see the evidence: its processes ended, or failed their readiness probe"}
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
