package pods_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headgate-dev/headgate/internal/local/pods"
)

func TestCheckNamesAllThatCannotBeRun(t *testing.T) {
	never := corev1.ContainerRestartPolicyNever
	signal := corev1.SIGUSR1
	http := func(port intstr.IntOrString) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}
	}
	tests := []struct {
		name   string
		change func(*pods.Spec, *corev1.Container)
		want   []string
	}{
		{"nothing", func(*pods.Spec, *corev1.Container) {}, nil},
		{"a port by its number", func(_ *pods.Spec, c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: http(intstr.FromInt32(8080))}
		}, nil},
		{"a host that is not this one", func(_ *pods.Spec, c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "example.com", Port: intstr.FromInt32(1)}}}
		}, nil},
		{"no containers", func(s *pods.Spec, _ *corev1.Container) { s.Containers, s.Logs = nil, "" }, []string{
			"it has no folder for its logs", "it has no containers",
		}},
		{"ports", func(_ *pods.Spec, c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: http(intstr.FromInt32(8081))}
			c.StartupProbe = &corev1.Probe{ProbeHandler: http(intstr.FromString("metrics"))}
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9}}}
		}, []string{
			"container app: livenessProbe.httpGet: port 8081 has no address on this machine; name it under ports of container app",
			`container app: startupProbe.httpGet: container app has no port named "metrics"`,
			"container app: readinessProbe.grpc: port 9 has no address on this machine; name it under ports of container app",
		}},
		{"numbers", func(_ *pods.Spec, c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: http(intstr.FromInt32(8080)), PeriodSeconds: -1, SuccessThreshold: 2}
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: http(intstr.FromInt32(8080)), TimeoutSeconds: -1, SuccessThreshold: 2}
		}, []string{
			"container app: livenessProbe.periodSeconds is below 0", "container app: livenessProbe.successThreshold must be 1",
			"container app: readinessProbe.timeoutSeconds is below 0",
		}},
		{"actions", func(_ *pods.Spec, c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{}
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}}
			c.StartupProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8080), Scheme: "FTP"}}}
		}, []string{
			"container app: livenessProbe must have one of exec, httpGet, tcpSocket and grpc",
			`container app: startupProbe.httpGet.scheme "FTP" is neither HTTP nor HTTPS`,
			"container app: readinessProbe.exec has no command",
		}},
		{"hooks", func(_ *pods.Spec, c *corev1.Container) {
			c.Lifecycle = &corev1.Lifecycle{
				StopSignal: &signal,
				PostStart:  &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{}},
				PreStop:    &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: -1}},
			}
		}, []string{
			"container app: lifecycle.stopSignal SIGUSR1 cannot be sent here; only SIGTERM can",
			"container app: lifecycle.postStart must have one of exec, httpGet and sleep",
			"container app: lifecycle.preStop.sleep.seconds is below 0",
		}},
		{"a restart policy", func(_ *pods.Spec, c *corev1.Container) { c.RestartPolicy = &never }, []string{
			"container app: a restartPolicy of its own can only be Always here",
		}},
		{"an init container with a probe", func(s *pods.Spec, _ *corev1.Container) {
			init := s.Containers[0]
			init.Spec.Name, init.Spec.LivenessProbe = "init", &corev1.Probe{ProbeHandler: http(intstr.FromInt32(8080))}
			s.Init = []pods.Container{init}
		}, []string{
			"container init: an init container has probes and hooks only with restartPolicy Always",
		}},
		{"names and programs", func(s *pods.Spec, _ *corev1.Container) {
			s.Containers = append(s.Containers, pods.Container{
				Spec: corev1.Container{Name: "app"}, Addresses: map[int32]string{1: "nowhere"},
			}, pods.Container{Spec: corev1.Container{Name: "../up"}, Args: []string{"x"}})
		}, []string{
			"container app: another one has this name", "container app: there is no program to run",
			`container app: port 1: address "nowhere": not host:port`, `container ../up: its name "../up" is no name`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := pods.Spec{Name: "pod", Logs: "logs", Containers: []pods.Container{{
				Spec: corev1.Container{Name: "app"}, Args: []string{"app"}, Addresses: map[int32]string{8080: "127.0.0.1:1"},
			}}}
			tt.change(&spec, &spec.Containers[:1:1][0].Spec)
			err := pods.Check(spec)
			var got []string
			if e, ok := errors.AsType[*pods.SpecError](err); ok {
				got = e.Problems
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if len(tt.want) == 0 {
				return
			}
			if _, err := pods.Start(spec, nil); !errors.As(err, new(*pods.SpecError)) {
				t.Errorf("start: got %v", err)
			}
		})
	}
}
