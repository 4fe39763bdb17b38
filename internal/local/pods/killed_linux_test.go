package pods_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/local/pods"
)

// TestNothingIsLeftWhenTheRunIsKilled starts this program again, which runs a
// pod and is killed: the service, a sidecar's child in a session of its own,
// and what a probe has left behind are gone, and the port is free.
func TestNothingIsLeftWhenTheRunIsKilled(t *testing.T) {
	if at := os.Getenv("PODS_TEST_RUN"); at != "" {
		runToBeKilled(t, at)
	}
	at := address(t)
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	pids := filepath.Join(t.TempDir(), "pids")
	c.Env = append(os.Environ(), "PODS_TEST_RUN="+at, "PIDS="+pids)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ready := false
	for lines := bufio.NewScanner(out); !ready && lines.Scan(); {
		ready = lines.Text() == "ready"
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if !ready {
		t.Fatal("the pod never got ready")
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(text))
	if len(all) < 2 {
		t.Errorf("got processes %q, want those of the sidecar and the probe", all)
	}
	for _, word := range all {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		if !ended(pid) {
			t.Errorf("process %d is still there", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		l, err := net.Listen("tcp", at)
		if err == nil {
			_ = l.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// runToBeKilled runs a pod and says when it is ready.
func runToBeKilled(t *testing.T, at string) {
	t.Helper()
	spec, _ := service(t)
	spec.Containers[0].Addresses[8080] = at
	spec.Containers[0].Env = append(spec.Containers[0].Env, "PODS_TEST_SERVE="+at, "PATH="+os.Getenv("PATH"), "PIDS="+os.Getenv("PIDS"))
	spec.Containers[0].Spec.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
		Command: []string{"sh", "-c", "setsid sleep 61 >/dev/null 2>&1 & echo $! >>$PIDS"},
	}}}
	always := corev1.ContainerRestartPolicyAlways
	spec.Init = []pods.Container{{
		Spec: corev1.Container{Name: "mesh", RestartPolicy: &always},
		Args: []string{"sh", "-c", "setsid sh -c 'echo $$ >>$PIDS; sleep 62; true' & wait"}, Env: os.Environ(),
	}}
	_, await := pod(t, spec)
	await("ready", isReady)
	for {
		if text, err := os.ReadFile(os.Getenv("PIDS")); err == nil && bytes.Count(text, []byte("\n")) > 1 {
			break
		}
		time.Sleep(10 * time.Millisecond) // the probe runs beside
	}
	fmt.Println("ready")
	select {}
}

// ended waits a while for a process to be gone; one that only waits to be
// noticed by its parent counts.
func ended(pid int) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return true
		}
	}
	return false
}
