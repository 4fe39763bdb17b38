package pods

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestWhatAStatusSays looks at a pod at moments of its life.
func TestWhatAStatusSays(t *testing.T) {
	type look struct {
		at    time.Duration
		ready bool
		// what the only container says
		waiting, message string
		restarts         int
	}
	execs := func(name string, answer func(time.Duration) (time.Duration, int)) *theatre {
		return &theatre{execs: map[string]func(time.Duration) (time.Duration, int){name: answer}}
	}
	tests := []struct {
		name      string
		theatre   *theatre
		container Container
		init      []Container
		looks     []look
	}{
		{
			"without probes", &theatre{}, program("app"), nil,
			[]look{{0, true, "", "", 0}},
		},
		{
			"not ready, then ready, then not", execs("ready", func(at time.Duration) (time.Duration, int) {
				if at < 4*time.Second || at > time.Minute {
					return 0, 1
				}
				return 0, 0
			}),
			program("app", func(c *corev1.Container) { c.ReadinessProbe = asks("ready") }), nil,
			[]look{
				{time.Second, false, "", "its readiness probe fails, 1 of 3 times: ready: exit code 1: said so", 0},
				{6 * time.Second, true, "", "", 0}, // between its times
				{89 * time.Second, true, "", "", 0},
				{91 * time.Second, false, "", "its readiness probe fails, 3 of 3 times: ready: exit code 1: said so", 0},
			},
		},
		{
			"an initial delay and several successes", execs("ready", always(0, 0)),
			program("app", func(c *corev1.Container) {
				c.ReadinessProbe = asks("ready")
				c.ReadinessProbe.InitialDelaySeconds, c.ReadinessProbe.SuccessThreshold = 5, 2
			}), nil,
			[]look{
				{time.Second, false, "", "its readiness probe is first asked 5s after the start", 0},
				{6 * time.Second, false, "", "its readiness probe has succeeded 1 of 2 times", 0},
				{16 * time.Second, true, "", "", 0},
			},
		},
		{
			"too slow an answer", execs("ready", always(time.Hour, 0)),
			program("app", func(c *corev1.Container) { c.ReadinessProbe = asks("ready") }), nil,
			[]look{{2 * time.Second, false, "", "its readiness probe fails, 1 of 3 times: ready: no answer within 1s", 0}},
		},
		{
			"a crash", &theatre{runs: map[string]run{"app": {500 * time.Millisecond, 2}}}, program("app"), nil,
			[]look{
				{100 * time.Millisecond, true, "", "", 0},
				{2 * time.Second, false, WaitingCrashLoop, "it ended, exit code 2 after 500ms; its last line: hello from app; it starts again after 10s", 1},
			},
		},
		{
			"no program", &theatre{absent: map[string]bool{"app": true}}, program("app"), nil,
			[]look{{time.Second, false, WaitingCrashLoop, "it cannot be started: program app: no such file or directory; it starts again after 10s", 1}},
		},
		{
			"a program that is being ended", &theatre{
				execs: map[string]func(time.Duration) (time.Duration, int){"alive": always(0, 1)}, deaf: map[string]bool{"app": true},
			},
			program("app", func(c *corev1.Container) { c.LivenessProbe = asks("alive") }), nil,
			[]look{
				{19 * time.Second, true, "", "", 0},
				{21 * time.Second, false, "", "its liveness probe fails, 3 of 3 times: alive: exit code 1: said so; it is being ended", 0},
				{51 * time.Second, true, "", "", 1},
			},
		},
		{
			"behind an init container", &theatre{runs: map[string]run{"first": {time.Second, 0}}}, program("app"),
			[]Container{program("first")},
			[]look{
				{500 * time.Millisecond, false, WaitingInit, "it waits for the init containers", 0},
				{1500 * time.Millisecond, true, "", "", 0},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tt.theatre
				s.begun = time.Now()
				changes := 0
				p, err := start(Spec{Name: "pod", Init: tt.init, Containers: []Container{tt.container}, Grace: 30 * time.Second, Logs: t.TempDir()}, func() { changes++ }, s.launch)
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range tt.looks {
					time.Sleep(want.at - time.Since(s.begun))
					synctest.Wait()
					status := p.Status()
					c := status.Containers[0]
					got := look{want.at, status.Ready, c.Waiting, c.Message, c.Restarts}
					if diff := cmp.Diff(want, got, cmp.AllowUnexported(look{})); diff != "" {
						t.Errorf("status (-want +got):\n%s", diff)
					}
				}
				p.Kill()
				synctest.Wait()
				if changes == 0 {
					t.Error("no change was told")
				}
			})
		})
	}
}
