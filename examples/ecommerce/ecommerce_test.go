// Package ecommerce_test holds the example's files to each other.
package ecommerce_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/flags"
	"github.com/headgate-dev/headgate/internal/cli"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func object[T any](t *testing.T, path string) T {
	t.Helper()
	var o T
	if err := yaml.UnmarshalStrict([]byte(read(t, path)), &o); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o
}

func TestManifestsFitTogether(t *testing.T) {
	namespace := object[corev1.Namespace](t, "namespace.yaml")
	deployment := object[appsv1.Deployment](t, "deploy/deployment.yaml")
	service := object[corev1.Service](t, "deploy/service.yaml")
	route := object[gatewayv1.HTTPRoute](t, "deploy/route.yaml")
	for _, got := range []string{deployment.Namespace, service.Namespace, route.Namespace} {
		if got != namespace.Name {
			t.Errorf("got namespace %s, want %s", got, namespace.Name)
		}
	}
	labels := deployment.Spec.Template.Labels
	for key, value := range service.Spec.Selector {
		if labels[key] != value {
			t.Errorf("the Service selects %s=%s, pods have %v", key, value, labels)
		}
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	if container.ReadinessProbe == nil || container.LivenessProbe == nil {
		t.Error("the container has not both probes")
	}
	if service.Spec.Ports[0].TargetPort.StrVal != container.Ports[0].Name {
		t.Errorf("the Service's port %v is not the container's %s", service.Spec.Ports[0].TargetPort, container.Ports[0].Name)
	}
	ref := route.Spec.Rules[0].BackendRefs[0]
	if string(ref.Name) != service.Name || *ref.Port != service.Spec.Ports[0].Port {
		t.Errorf("the route points at %s:%d, want %s:%d", ref.Name, *ref.Port, service.Name, service.Spec.Ports[0].Port)
	}
}

func TestFlagRecordCanBeRead(t *testing.T) {
	r, err := flags.ParseRecord("new_profile_format", []byte(read(t, "new_profile_format.json")))
	if err != nil {
		t.Fatal(err)
	}
	if r.Enabled || r.Percentage != 0 {
		t.Errorf("got enabled %v at %v %%, want it off", r.Enabled, r.Percentage)
	}
}

// Each fault is a build argument, and each build argument of a pipeline is
// one that the Dockerfile knows: an unknown one would be ignored, and a bad
// version would be good.
func TestFaultsReachTheImage(t *testing.T) {
	dockerfile := read(t, "user-service/Dockerfile")
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^ARG ([A-Z_]+)=`).FindAllStringSubmatch(dockerfile, -1) {
		known = append(known, m[1])
		if !strings.Contains(dockerfile, m[1]+"=$"+m[1]) {
			t.Errorf("the Dockerfile's argument %s does not get into the environment", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^//\t([A-Z_]+)=`).FindAllStringSubmatch(read(t, "profiles/faults.go"), -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("the fault %s is not an argument of the Dockerfile", m[1])
		}
	}
	for _, file := range []string{"headgate.yaml", "demo.yaml"} {
		_, build, _ := strings.Cut(read(t, file), "      args:\n")
		args := regexp.MustCompile(`(?m)^        ([A-Z_]+): `).FindAllStringSubmatch(build, -1)
		if len(args) < 2 {
			t.Errorf("%s: found no build arguments", file)
		}
		for _, m := range args {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: the Dockerfile does not know %s", file, m[1])
			}
		}
	}
}

func TestPipelinesAreValid(t *testing.T) {
	for _, file := range []string{"headgate.yaml", "demo.yaml", "local.yaml", "blue-green/pipeline.yaml"} {
		var out bytes.Buffer
		code := cli.Main([]string{"validate", "--strict", file}, cli.Streams{
			In: strings.NewReader(""), Out: &out, Err: &out,
			LookupEnv: func(string) (string, bool) { return "", false },
			Environ:   func() []string { return nil },
			Exit:      func(code int) { t.Errorf("exit code %d", code) },
		})
		if code != 0 {
			t.Errorf("%s: got exit code %d\n%s", file, code, out.String())
		}
	}
}
