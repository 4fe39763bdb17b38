package local

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func objectsOf(t *testing.T, text string) objectSet {
	t.Helper()
	var raws []json.RawMessage
	for doc := range strings.SplitSeq(text, "\n---\n") {
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	m, err := readObjects(raws, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return m.objects
}

func containerOf(t *testing.T, text string) corev1.Container {
	t.Helper()
	var c corev1.Container
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

const config = `{apiVersion: v1, kind: ConfigMap, metadata: {name: config}, data: {mode: fast, level: "3"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: redis}, data: {url: cmVkaXM6Ly9h}, stringData: {user: anna}}`

// own are the variables that a test is about.
func own(e *environment, not ...string) []string {
	machine := machine(func(string) (string, bool) { return "", true })
	return slices.DeleteFunc(e.pairs(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(not, name) || slices.ContainsFunc(machine, func(m [2]string) bool { return m[0] == name })
	})
}

func TestEnvironmentIsThatOfKubernetes(t *testing.T) {
	c := containerOf(t, `
name: web
ports: [{containerPort: 8000, name: http}, {containerPort: 9000, name: grpc-api}]
resources: {limits: {cpu: 1500m, memory: 64Mi}}
envFrom:
- configMapRef: {name: config}
  prefix: C_
- secretRef: {name: none, optional: true}
env:
- {name: PLAIN, value: a}
- {name: NAMED, value: "$(PLAIN)-$(LATER)-$(C_mode)"}
- {name: LATER, value: b}
- {name: KEY, valueFrom: {configMapKeyRef: {name: config, key: level}}}
- {name: SECRET, valueFrom: {secretKeyRef: {name: redis, key: url}}}
- {name: OTHER, valueFrom: {secretKeyRef: {name: redis, key: user}}}
- {name: LEFT_OUT, valueFrom: {secretKeyRef: {name: redis, key: none, optional: true}}}
- {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
- {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
- {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
- {name: ADDRESS, value: ":8000"}
- {name: NEEDED, valueFrom: {secretKeyRef: {name: none, key: none}}}
`)
	e, err := containerEnv{
		pod:       podFacts{namespace: "shop", name: "web-1", labels: map[string]string{"app": "web"}},
		container: c, ports: map[int32]int{8000: 41000, 9000: 41001}, objects: objectsOf(t, config),
		services: [][2]string{{"DB_SERVICE_HOST", "127.0.0.1"}}, local: [][2]string{{"HEADGATE_LOCAL_TRACK", "canary"}},
		program: Program{Env: [][2]string{
			{"ADDRESS", "127.0.0.1:$(PORT)"}, {"NEEDED", "$(DB_SERVICE_HOST)"}, {"WHO", "$(HEADGATE_LOCAL_TRACK) of $(POD)"},
		}},
	}.build()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DB_SERVICE_HOST=127.0.0.1", "HEADGATE_LOCAL_TRACK=canary",
		"PORT=41000", "PORT_HTTP=41000", "PORT_8000=41000", "PORT_GRPC_API=41001", "PORT_9000=41001",
		"C_level=3", "C_mode=fast", "PLAIN=a", "NAMED=a-$(LATER)-fast", "LATER=b", "KEY=3", "SECRET=redis://a", "OTHER=anna",
		"POD=web-1", "NS=shop", "IP=127.0.0.1", "LABEL=web", "CPU=2", "MEMORY=64",
		"ADDRESS=127.0.0.1:41000", "NEEDED=127.0.0.1", "WHO=canary of web-1",
	}
	if diff := cmp.Diff(want, own(e)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for _, c := range []struct{ container, want string }{
		{`{name: a, envFrom: [{configMapRef: {name: none}}]}`, "ConfigMap none is not there in namespace shop"},
		{`{name: a, env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: k}}}]}`, "variable A: Secret none is not there"},
		{`{name: a, env: [{name: A, valueFrom: {secretKeyRef: {name: redis, key: k}}}]}`, "variable A: key k of Secret redis is not there"},
		{`{name: a, env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.other}}}]}`, "the field status.other is not known here"},
		{`{name: a, env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}`, "container a has no limits.cpu"},
	} {
		_, err := containerEnv{pod: podFacts{namespace: "shop"}, container: containerOf(t, c.container), objects: objectsOf(t, config)}.build()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.container, err, c.want)
		}
	}
}

func TestProgramsDoNotSeeTheRunnersVariables(t *testing.T) {
	t.Setenv("CI_DEPLOY_TOKEN", "s3cret")
	e, err := containerEnv{container: corev1.Container{Name: "a"}}.build()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := e.get("CI_DEPLOY_TOKEN"); ok {
		t.Errorf("got CI_DEPLOY_TOKEN=%s", v)
	}
	if _, ok := e.get("PATH"); !ok {
		t.Error("got no PATH")
	}
}
