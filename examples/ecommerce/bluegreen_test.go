package ecommerce_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// parsed reads one of several YAML documents of a file, by its kind.
func parsed[T any](t *testing.T, path, kind string) T {
	t.Helper()
	var found []T
	for doc := range strings.SplitSeq(read(t, path), "\n---\n") {
		if !strings.Contains("\n"+doc, "\nkind: "+kind+"\n") {
			continue
		}
		var o T
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found = append(found, o)
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d times the kind %s, want 1", path, len(found), kind)
	}
	return found[0]
}

// selects reports whether a Service selects the pods of a Deployment.
func selects(s corev1.Service, d appsv1.Deployment) bool {
	for k, v := range s.Spec.Selector {
		if d.Spec.Template.Labels[k] != v {
			return false
		}
	}
	return len(s.Spec.Selector) > 0
}

func TestColoursFitTogether(t *testing.T) {
	pipeline, secrets := read(t, "blue-green/pipeline.yaml"), read(t, "blue-green/secrets.sh")
	deployments := map[string]appsv1.Deployment{}
	services := map[string]corev1.Service{}
	for _, colour := range []string{"blue", "green"} {
		file := "blue-green/" + colour + "-environment.yaml"
		ns := parsed[corev1.Namespace](t, file, "Namespace").Name
		d, s := parsed[appsv1.Deployment](t, file, "Deployment"), parsed[corev1.Service](t, file, "Service")
		deployments[colour], services[colour] = d, s
		if d.Namespace != ns || s.Namespace != ns {
			t.Errorf("%s: deployment and Service are in %s and %s, want %s", file, d.Namespace, s.Namespace, ns)
		}
		c := d.Spec.Template.Spec.Containers[0]
		if c.ReadinessProbe == nil {
			t.Errorf("%s: the container has no readiness probe", file)
		}
		if s.Spec.Ports[0].TargetPort.IntVal != c.Ports[0].ContainerPort {
			t.Errorf("%s: the Service sends to port %v, the container has %d", file, s.Spec.Ports[0].TargetPort, c.Ports[0].ContainerPort)
		}
		if want := colour + ": {deployment: " + d.Name + ", namespace: " + ns + ", service: " + s.Name + "}"; !strings.Contains(pipeline, want) {
			t.Errorf("the pipeline does not say %s", want)
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && !strings.Contains(secrets, "generic "+e.ValueFrom.SecretKeyRef.Name+" -n "+ns+" --from-literal="+e.ValueFrom.SecretKeyRef.Key+"=") {
				t.Errorf("secrets.sh does not make the secret of %s in %s", e.Name, ns)
			}
		}
	}
	for colour, s := range services {
		for of, d := range deployments {
			if got := selects(s, d); got != (colour == of) {
				t.Errorf("whether the Service of %s selects the pods of %s is %v", colour, of, got)
			}
		}
	}
}

// TestNginxOfTheColours: nginx reads the file that the ConfigMap has, sees it
// change, and one colour has the traffic.
func TestNginxOfTheColours(t *testing.T) {
	const file = "blue-green/nginx.yaml"
	config, d := parsed[corev1.ConfigMap](t, file, "ConfigMap"), parsed[appsv1.Deployment](t, file, "Deployment")
	if !selects(parsed[corev1.Service](t, file, "Service"), d) {
		t.Error("the Service of nginx does not select its pods")
	}
	c := d.Spec.Template.Spec.Containers[0]
	at := slices.Index(c.Command, "-c")
	if len(c.VolumeMounts) != 1 || c.VolumeMounts[0].SubPath != "" || at < 0 {
		t.Fatalf("nginx is started by %q with the mounts %v", c.Command, c.VolumeMounts)
	}
	key, ok := strings.CutPrefix(c.Command[at+1], c.VolumeMounts[0].MountPath+"/")
	if text := config.Data[key]; !ok || text == "" {
		t.Fatalf("nginx reads %s, which is not of the ConfigMap", c.Command[at+1])
	}
	if v := d.Spec.Template.Spec.Volumes[0]; v.Name != c.VolumeMounts[0].Name || v.ConfigMap == nil || v.ConfigMap.Name != config.Name {
		t.Errorf("the volume is %v", v)
	}
	if want := "nginx: " + config.Namespace + "/" + config.Name + ", upstream: user-service"; !strings.Contains(read(t, "blue-green/pipeline.yaml"), want) {
		t.Errorf("the pipeline does not say %s", want)
	}
	servers := regexp.MustCompile(`(?m)^\s+server (\S+)\.svc\.cluster\.local:80 (.*);$`).FindAllStringSubmatch(config.Data[key], -1)
	var got []string
	for _, m := range servers {
		got = append(got, m[1]+" "+m[2])
	}
	want := []string{"user-service-blue.ecommerce-blue weight=100", "user-service-green.ecommerce-green down"}
	if !slices.Equal(got, want) {
		t.Errorf("the upstream has %q, want %q", got, want)
	}
}
