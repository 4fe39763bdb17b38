package pods_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headgate-dev/headgate/internal/local/pods"
	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

func TestMain(m *testing.M) {
	keeper.Main()
	if address := os.Getenv("PODS_TEST_SERVE"); address != "" {
		serve(address)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve is a service: /health says no while the file $BROKEN is there, and
// SIGTERM ends it well.
func serve(address string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(os.Getenv("BROKEN")); err == nil || r.Header.Get("X-Asks") != "probe" {
			http.Error(w, "the database is away", http.StatusServiceUnavailable)
		}
	})
	fmt.Println("listening")
	go func() { _ = http.Serve(l, nil) }()
	<-stop
	fmt.Println("bye")
}

// address is one that nobody listens at.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// service is a pod with this program as a service, and the file that breaks
// it.
func service(t *testing.T) (spec pods.Spec, broken string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	broken = filepath.Join(t.TempDir(), "broken")
	at := address(t)
	probe := func(failures int32) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: 1, FailureThreshold: failures, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/health", Port: intstr.FromString("http"), HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Asks", Value: "probe"}},
		}}}
	}
	return pods.Spec{
		Namespace: "shop", Name: "user-service-1", Grace: 10 * time.Second, Backoff: 50 * time.Millisecond, Logs: t.TempDir(),
		Containers: []pods.Container{{
			Spec: corev1.Container{
				Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				StartupProbe: probe(30), ReadinessProbe: probe(1), LivenessProbe: probe(1),
			},
			Args: []string{exe}, Env: []string{"PODS_TEST_SERVE=" + at, "BROKEN=" + broken, "GORACE=atexit_sleep_ms=0"},
			Addresses: map[int32]string{8080: at},
		}},
	}, broken
}

// pod starts a pod, which is killed when the test ends.
func pod(t *testing.T, spec pods.Spec) (*pods.Pod, func(what string, ok func(pods.Status) bool) pods.Status) {
	t.Helper()
	changed := make(chan struct{}, 1)
	p, err := pods.Start(spec, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p, func(what string, ok func(pods.Status) bool) pods.Status {
		t.Helper()
		for timeout := time.After(30 * time.Second); ; {
			if s := p.Status(); ok(s) {
				return s
			}
			select {
			case <-changed:
			case <-timeout:
				t.Fatalf("not %s: %+v, log %q", what, p.Status(), p.Logs("app", 20))
			}
		}
	}
}

func isReady(s pods.Status) bool { return s.Ready }

// TestTheLifeOfAService: it gets ready, is restarted when its liveness probe
// fails, and ends well.
func TestTheLifeOfAService(t *testing.T) {
	t.Parallel()
	spec, broken := service(t)
	p, await := pod(t, spec)
	await("ready", isReady)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := await("restarted", func(s pods.Status) bool { return s.Containers[0].Restarts > 0 })
	if e := s.Containers[0].Exit; e.Reason != pods.ReasonLiveness || !strings.Contains(e.Message, "503 Service Unavailable: the database is away") {
		t.Errorf("got exit %+v", e)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	await("ready again", isReady)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = p.Status()
	if !s.Stopped || s.Ready || s.Containers[0].Exit.Reason != pods.ReasonStopped {
		t.Errorf("got %+v", s)
	}
	if got := strings.Join(p.Logs("app", 3), " "); got != "bye listening bye" {
		t.Errorf("got log %q", got)
	}
	text, err := os.ReadFile(filepath.Join(spec.Logs, "app.log"))
	if err != nil || string(text) != "listening\nbye\nlistening\nbye\n" {
		t.Errorf("got log file %q, %v", text, err)
	}
	if l, err := net.Listen("tcp", spec.Containers[0].Addresses[8080]); err != nil {
		t.Errorf("its address is still taken: %v", err)
	} else {
		_ = l.Close()
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	spec, _ := service(t)
	spec.Containers[0].Args = []string{"./no-such-program"}
	p, await := pod(t, spec)
	s := await("restarted twice", func(s pods.Status) bool {
		return s.Containers[0].Restarts > 1 && s.Containers[0].Waiting == pods.WaitingCrashLoop
	})
	c := s.Containers[0]
	if c.Running || c.Exit.Reason != pods.ReasonStart || !strings.HasPrefix(c.Message, "it cannot be started: program ./no-such-program: ") {
		t.Errorf("got %+v, %+v", c, c.Exit)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStopThatIsGivenUpKills(t *testing.T) {
	t.Parallel()
	spec, _ := service(t)
	spec.Containers[0].Spec.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 60}}}
	spec.Grace = time.Minute
	p, await := pod(t, spec)
	await("ready", isReady)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); err == nil {
		t.Error("got no error")
	}
	if s := p.Status(); !s.Stopped || s.Containers[0].Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v", s)
	}
}
