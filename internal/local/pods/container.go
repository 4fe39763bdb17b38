package pods

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// lastLines is how many lines of output an [Exit] has.
const lastLines = 10

// container is one container of a pod.
type container struct {
	Container
	pod  *Pod
	init bool
	log  *log
	// begun is closed when it has started for the first time, its startup
	// probe and postStart hook included.
	begun chan struct{}
	// leave is closed when a sidecar shall end, left when live has returned.
	leave, left chan struct{}
	status      ContainerStatus // under the pod's lock
}

func newContainer(p *Pod, c Container, init bool) (*container, error) {
	l, err := openLog(p.spec.Logs, c.Spec.Name)
	if err != nil {
		return nil, err
	}
	made := &container{
		Container: c, pod: p, init: init, log: l,
		begun: make(chan struct{}), leave: make(chan struct{}), left: make(chan struct{}),
	}
	made.status = ContainerStatus{Name: c.Spec.Name, Waiting: WaitingStart, Message: "it is about to start"}
	if len(p.spec.Init) > 0 {
		made.status.Waiting, made.status.Message = WaitingInit, "it waits for the init containers"
	}
	return made, nil
}

// sidecar reports whether this is an init container that goes on.
func (c *container) sidecar() bool {
	return c.init && c.Spec.RestartPolicy != nil && *c.Spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// job reports whether it is to run to its end, once.
func (c *container) job() bool { return c.init && !c.sidecar() }

// set changes the status.
func (c *container) set(change func(s *ContainerStatus)) {
	c.pod.mu.Lock()
	change(&c.status)
	c.pod.mu.Unlock()
	c.pod.poke()
}

// live runs the program, again and again, until stop is closed, or until it
// has ended well if it is a job; then it returns true.
func (c *container) live(stop <-chan struct{}) bool {
	defer close(c.left)
	pause := backoff{base: c.pod.spec.Backoff}
	for restarts := 0; ; restarts++ {
		exit := c.once(stop, restarts)
		if exit == nil {
			return false
		}
		well := c.job() && exit.Reason == ReasonCompleted
		wait := pause.after(exit.Ran)
		c.set(func(s *ContainerStatus) {
			s.Running, s.Ready, s.Exit = false, well, exit
			s.Waiting, s.Message = WaitingCrashLoop, c.afterExit(exit, wait)
			switch {
			case well:
				s.Waiting, s.Message = "", ""
			case isClosed(stop):
				s.Waiting, s.Message = "", "it has ended with its pod"
			}
		})
		if well {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
			c.set(func(s *ContainerStatus) { s.Waiting = "" })
			return false
		}
	}
}

// afterExit says how a program ended and when it starts again.
func (c *container) afterExit(e *Exit, wait time.Duration) string {
	text := "it ended, " + e.Message
	if e.Reason == ReasonStart {
		text = "it cannot be started: " + e.Message
	}
	if wait > 0 {
		text += fmt.Sprintf("; it starts again after %s", wait)
	}
	return text
}

// once runs the program until it ends, by itself or by us, and returns how; nil
// when it was not to be started any more.
func (c *container) once(stop <-chan struct{}, restarts int) *Exit {
	if isClosed(stop) {
		c.set(func(s *ContainerStatus) { s.Waiting, s.Message = "", "it has ended with its pod" })
		return nil
	}
	c.set(func(s *ContainerStatus) {
		s.Restarts, s.Waiting, s.Message = restarts, WaitingStart, "it is about to start"
	})
	c.log.begin()
	began := time.Now()
	title := fmt.Sprintf("%s/%s %s", c.pod.spec.Namespace, c.pod.spec.Name, c.Spec.Name)
	p, err := c.pod.launch(c.pod.killed, title, c.Container, c.log)
	if err != nil {
		if c.pod.killed.Err() != nil {
			return nil
		}
		return c.notStarted(err, began)
	}
	c.set(func(s *ContainerStatus) {
		s.Running, s.Started, s.Waiting, s.Message = true, began, "", "it has just started"
		if numbered, ok := p.(interface{ Pid() int }); ok {
			s.PID = numbered.Pid()
		}
	})
	reason, why := c.attend(p, stop)
	<-p.Ended()
	return c.exit(p.End(), outcome{reason, why, began})
}

// notStarted makes the exit of a program that never was.
func (c *container) notStarted(err error, at time.Time) *Exit {
	message := err.Error()
	if failed, ok := errors.AsType[*keeper.StartError](err); ok {
		message = failed.Reason
	}
	return &Exit{Code: -1, Reason: ReasonStart, Message: message, At: at}
}

// attend looks after a program that runs until it has ended, and returns why
// we ended it: one of the Reason constants, "" when it ended by itself.
func (c *container) attend(p process, stop <-chan struct{}) (reason, why string) {
	ctx, cancel := context.WithCancel(c.pod.killed)
	sick := make(chan fault, 3)
	watched := make(chan struct{})
	go func() { // ends with ctx
		defer close(watched)
		c.watch(ctx, p, sick)
	}()
	defer func() {
		cancel()
		<-watched
	}()
	grace := c.pod.spec.Grace
	select {
	case <-p.Ended():
		return "", ""
	case <-stop:
		reason, grace = ReasonStopped, max(c.pod.graceLeft(), 0)
		if c.sidecar() && c.pod.spec.Grace > 0 {
			grace = max(grace, minGrace)
		}
	case f := <-sick:
		reason, why = f.reason, f.why
		if f.grace != nil {
			grace = *f.grace
		}
		c.set(func(s *ContainerStatus) { s.Ready, s.Message = false, why+"; it is being ended" })
	}
	cancel() // no probe of a program that ends
	<-watched
	c.terminate(p, grace, stop)
	return reason, why
}

// fault is why a program must be ended.
type fault struct {
	reason, why string
	grace       *time.Duration // nil for the pod's
}

// terminate ends a program: preStop, SIGTERM, the rest of grace, SIGKILL. A
// pod that ends meanwhile leaves it no more time than the others.
func (c *container) terminate(p process, grace time.Duration, stop <-chan struct{}) {
	if grace <= 0 || c.pod.killed.Err() != nil {
		p.Kill()
		return
	}
	deadline := time.Now().Add(grace)
	c.preStop(p, grace)
	if c.pod.killed.Err() != nil {
		p.Kill()
		return
	}
	p.Terminate()
	rest := time.NewTimer(max(time.Until(deadline), minGraceAfter(c.Spec.Lifecycle)))
	defer rest.Stop()
	if isClosed(stop) {
		stop = nil // grace is what the pod has left
	}
	for {
		select {
		case <-p.Ended():
			return
		case <-stop:
			stop = nil
			rest.Reset(max(min(time.Until(deadline), c.pod.graceLeft()), 0))
			continue
		case <-rest.C:
		case <-c.pod.killed.Done():
		}
		p.Kill()
		return
	}
}

// minGraceAfter is what a program gets at least after its preStop hook.
func minGraceAfter(l *corev1.Lifecycle) time.Duration {
	if l == nil || l.PreStop == nil {
		return 0
	}
	return minGrace
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
