package pods

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// theatre is where programs are played, in virtual time. It writes down what
// happens to them.
type theatre struct {
	begun time.Time
	mu    sync.Mutex
	story []string
	// runs says how long a program runs before it ends with code; programs
	// that are not in it run until they are ended.
	runs map[string]run
	// deaf programs do not listen to SIGTERM.
	deaf map[string]bool
	// execs say how long an execution takes, and its exit code, by its first
	// word and the time of day.
	execs map[string]func(at time.Duration) (time.Duration, int)
	// absent programs cannot be started.
	absent map[string]bool
}

type run struct {
	takes time.Duration
	code  int
}

func (s *theatre) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story = append(s.story, fmt.Sprintf("%s ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

// launch plays a program.
func (s *theatre) launch(_ context.Context, _ string, c Container, out io.Writer) (process, error) {
	if s.absent[c.Args[0]] {
		s.tell("no %s", c.Args[0])
		return nil, &keeper.StartError{Reason: "program " + c.Args[0] + ": no such file or directory"}
	}
	s.tell("start %s", c.Args[0])
	_, _ = io.WriteString(out, "hello from "+c.Args[0]+"\n")
	p := &player{theatre: s, name: c.Args[0], ended: make(chan struct{})}
	if r, ok := s.runs[p.name]; ok {
		time.AfterFunc(r.takes, func() { p.finish("end", keeper.End{Code: r.code}) })
	}
	return p, nil
}

// player is a program that is only played.
type player struct {
	theatre *theatre
	name    string
	once    sync.Once
	ended   chan struct{}
	end     keeper.End
}

func (p *player) finish(how string, end keeper.End) {
	p.once.Do(func() {
		p.theatre.tell("%s %s", how, p.name)
		p.end = end
		close(p.ended)
	})
}

func (p *player) Ended() <-chan struct{} { return p.ended }

func (p *player) End() keeper.End {
	<-p.ended
	return p.end
}

func (p *player) Terminate() {
	if p.theatre.deaf[p.name] {
		p.theatre.tell("term %s", p.name)
		return
	}
	p.finish("term", keeper.End{Code: -1, Signal: "SIGTERM"})
}

func (p *player) Kill() { p.finish("kill", keeper.End{Code: -1, Signal: "SIGKILL"}) }

func (p *player) Exec(ctx context.Context, args []string) (keeper.Result, error) {
	takes, code := p.theatre.execs[args[0]](time.Since(p.theatre.begun))
	if args[0] == "hook" {
		p.theatre.tell("hook %s", p.name)
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return keeper.Result{Code: code, Output: []byte("said so")}, nil
	case <-ctx.Done():
		return keeper.Result{}, context.Cause(ctx)
	case <-p.ended:
		return keeper.Result{}, keeper.ErrEnded
	}
}

// program is a container with a program that is played.
func program(name string, change ...func(*corev1.Container)) Container {
	c := Container{Spec: corev1.Container{Name: name}, Args: []string{name}}
	for _, f := range change {
		f(&c.Spec)
	}
	return c
}

func sidecar(c *corev1.Container) {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
}

func preStop(c *corev1.Container) {
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"hook"}}}}
}

func postStart(c *corev1.Container) {
	c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"hook"}}}}
}

func asks(what string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{what}}}}
}

// always answers so.
func always(takes time.Duration, code int) func(time.Duration) (time.Duration, int) {
	return func(time.Duration) (time.Duration, int) { return takes, code }
}

// from answers 1 before the moment and 0 after it.
func from(moment time.Duration) func(time.Duration) (time.Duration, int) {
	return func(at time.Duration) (time.Duration, int) {
		if at < moment {
			return 0, 1
		}
		return 0, 0
	}
}

func TestLives(t *testing.T) {
	tests := []struct {
		name             string
		theatre          *theatre
		init, containers []Container
		// stop is when the pod is stopped; until, when the story is over.
		stop, until time.Duration
		want        []string
	}{
		{
			name:       "crashes are followed by growing pauses",
			theatre:    &theatre{runs: map[string]run{"app": {0, 1}}},
			containers: []Container{program("app")},
			until:      23 * time.Minute,
			want: []string{
				"0s start app", "0s end app", "0s start app", "0s end app", "10s start app", "10s end app", "30s start app", "30s end app",
				"1m10s start app", "1m10s end app", "2m30s start app", "2m30s end app", "5m10s start app", "5m10s end app",
				"10m10s start app", "10m10s end app", "15m10s start app", "15m10s end app", "20m10s start app", "20m10s end app",
			},
		},
		{
			name:       "a long life makes the pauses short again, and exit code 0 is an end like others",
			theatre:    &theatre{runs: map[string]run{"app": {11 * time.Minute, 0}}},
			containers: []Container{program("app")},
			until:      34 * time.Minute,
			want: []string{
				"0s start app", "11m0s end app", "11m0s start app", "22m0s end app", "22m0s start app", "33m0s end app", "33m0s start app",
			},
		},
		{
			name:       "a program that is not there is tried again",
			theatre:    &theatre{absent: map[string]bool{"app": true}},
			containers: []Container{program("app")},
			stop:       11 * time.Second,
			want:       []string{"0s no app", "0s no app", "10s no app", "11s stop"},
		},
		{
			name:       "init containers run in turn, and again when they fail",
			theatre:    &theatre{runs: map[string]run{"first": {time.Second, 0}, "second": {time.Second, 3}}},
			init:       []Container{program("first"), program("second")},
			containers: []Container{program("app")},
			stop:       4 * time.Second,
			want:       []string{"0s start first", "1s end first", "1s start second", "2s end second", "2s start second", "3s end second", "4s stop"},
		},
		{
			name:       "containers start together after the init containers and end together",
			theatre:    &theatre{runs: map[string]run{"first": {time.Second, 0}}, deaf: map[string]bool{"b": true}},
			init:       []Container{program("first")},
			containers: []Container{program("a"), program("b")},
			stop:       10 * time.Second,
			want:       []string{"0s start first", "1s end first", "1s start a", "1s start b", "10s stop", "10s term a", "10s term b", "40s kill b"},
		},
		{
			name:       "an init container can be ended",
			theatre:    &theatre{},
			init:       []Container{program("first")},
			containers: []Container{program("a")},
			stop:       time.Second,
			want:       []string{"0s start first", "1s stop", "1s term first"},
		},
		{
			name: "sidecars start before and end after, in the other order",
			theatre: &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"up": from(5 * time.Second)},
				deaf:  map[string]bool{"app": true, "mesh": true},
			},
			init: []Container{
				program("mesh", sidecar, func(c *corev1.Container) {
					c.StartupProbe = asks("up")
					c.StartupProbe.PeriodSeconds, c.StartupProbe.FailureThreshold = 1, 30
				}),
				program("logs", sidecar),
			},
			containers: []Container{program("app")},
			stop:       10 * time.Second,
			want: []string{
				"0s start mesh", "5s start logs", "5s start app", "10s stop", "10s term app", "40s kill app",
				"40s term logs", "40s term mesh", "42s kill mesh",
			},
		},
		{
			name:       "preStop, SIGTERM, the rest of the grace period, SIGKILL",
			theatre:    &theatre{execs: map[string]func(time.Duration) (time.Duration, int){"hook": always(5*time.Second, 1)}, deaf: map[string]bool{"app": true}},
			containers: []Container{program("app", preStop)},
			stop:       10 * time.Second,
			want:       []string{"0s start app", "10s stop", "10s hook app", "15s term app", "40s kill app"},
		},
		{
			name:       "a preStop hook that takes all leaves two seconds",
			theatre:    &theatre{execs: map[string]func(time.Duration) (time.Duration, int){"hook": always(time.Hour, 0)}, deaf: map[string]bool{"app": true}},
			containers: []Container{program("app", preStop)},
			stop:       10 * time.Second,
			want:       []string{"0s start app", "10s stop", "10s hook app", "40s term app", "42s kill app"},
		},
		{
			name: "a program that ends during its preStop hook",
			theatre: &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"hook": always(time.Hour, 0)},
				runs:  map[string]run{"app": {12 * time.Second, 0}},
			},
			containers: []Container{program("app", preStop)},
			stop:       10 * time.Second,
			want:       []string{"0s start app", "10s stop", "10s hook app", "12s end app"},
		},
		{
			name:       "a preStop hook is not for those that crash",
			theatre:    &theatre{runs: map[string]run{"app": {time.Second, 1}}},
			containers: []Container{program("app", preStop)},
			until:      1500 * time.Millisecond,
			want:       []string{"0s start app", "1s end app", "1s start app"},
		},
		{
			name:       "a postStart hook that fails ends the program",
			theatre:    &theatre{execs: map[string]func(time.Duration) (time.Duration, int){"hook": always(time.Second, 1)}},
			containers: []Container{program("app", postStart)},
			until:      1500 * time.Millisecond,
			want:       []string{"0s start app", "0s hook app", "1s term app", "1s start app", "1s hook app"},
		},
		{
			name: "a liveness probe that fails restarts, with preStop and the grace of its own",
			theatre: &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"alive": always(0, 1), "hook": always(time.Second, 0)},
				deaf:  map[string]bool{"app": true},
			},
			containers: []Container{program("app", preStop, func(c *corev1.Container) {
				c.LivenessProbe = asks("alive")
				c.LivenessProbe.InitialDelaySeconds = 3
				grace := int64(5)
				c.LivenessProbe.TerminationGracePeriodSeconds = &grace
			})},
			until: 30 * time.Second,
			want:  []string{"0s start app", "23s hook app", "24s term app", "28s kill app", "28s start app"},
		},
		{
			name: "a startup probe holds the others back, and fails at the end of its patience",
			theatre: &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"up": always(0, 1), "alive": always(0, 1)},
			},
			containers: []Container{program("app", func(c *corev1.Container) {
				c.StartupProbe, c.LivenessProbe = asks("up"), asks("alive")
				c.StartupProbe.FailureThreshold, c.LivenessProbe.PeriodSeconds = 6, 1
			})},
			until: 55 * time.Second,
			want:  []string{"0s start app", "50s term app", "50s start app"},
		},
		{
			name: "a pod that ends does not wait for the longer end of one that is sick",
			theatre: &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"alive": always(0, 1)},
				deaf:  map[string]bool{"app": true},
			},
			containers: []Container{program("app", func(c *corev1.Container) {
				c.LivenessProbe = asks("alive")
				grace := int64(600)
				c.LivenessProbe.TerminationGracePeriodSeconds = &grace
			})},
			stop: 25 * time.Second,
			want: []string{"0s start app", "20s term app", "25s stop", "55s kill app"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tt.theatre
				s.begun = time.Now()
				p, err := start(Spec{Name: "pod", Init: tt.init, Containers: tt.containers, Grace: 30 * time.Second, Logs: t.TempDir()}, nil, s.launch)
				if err != nil {
					t.Fatal(err)
				}
				if tt.stop > 0 {
					time.Sleep(tt.stop)
					s.tell("stop")
					if err := p.Stop(t.Context()); err != nil {
						t.Error(err)
					}
				} else {
					time.Sleep(tt.until)
				}
				s.mu.Lock()
				got := append([]string(nil), s.story...)
				s.mu.Unlock()
				p.Kill()
				// What happens at the same moment has no order.
				sortMoments(got)
				sortMoments(tt.want)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("story (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// sortMoments puts two that start or are told at once into order.
func sortMoments(story []string) {
	for i := 1; i < len(story); i++ {
		a, b := strings.Fields(story[i-1]), strings.Fields(story[i])
		if a[0] == b[0] && a[1] == b[1] && story[i] < story[i-1] {
			story[i], story[i-1] = story[i-1], story[i]
		}
	}
}

func TestKillEndsAtOnce(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Pod){
		"kill": func(_ *testing.T, p *Pod) { p.Kill() },
		"stop that is given up": func(t *testing.T, p *Pod) {
			t.Helper()
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			cancel(why)
			if err := p.Stop(ctx); !errors.Is(err, why) {
				t.Errorf("got %v, want the cause", err)
			}
		},
		"kill while it is stopped": func(_ *testing.T, p *Pod) {
			go p.Stop(context.Background()) //nolint:errcheck // it is killed
			synctest.Wait()
			p.Kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &theatre{
					begun: time.Now(), deaf: map[string]bool{"app": true, "mesh": true},
					execs: map[string]func(time.Duration) (time.Duration, int){"hook": always(time.Hour, 0)},
				}
				spec := Spec{Name: "pod", Init: []Container{program("mesh", sidecar)}, Containers: []Container{program("app", preStop)}, Grace: time.Hour, Logs: t.TempDir()}
				p, err := start(spec, nil, s.launch)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				end(t, p)
				if took := time.Since(s.begun); took > 0 {
					t.Errorf("it took %s", took)
				}
				if status := p.Status(); !status.Stopped || status.Ready {
					t.Errorf("got %+v", status)
				}
			})
		})
	}
}
