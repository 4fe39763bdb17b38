//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
)

// TestE2ENotReady releases what cannot get ready, as a user would, and looks at
// what the run says: the code, the cause, the advice, the evidence of before
// the rollback; and all is as it was.
func TestE2ENotReady(t *testing.T) {
	const limits = "limits: {memory: 64Mi}"
	cases := []struct {
		name, release string
		from, to      string // of the manifest
		says          []string
		hint          string
		evidence      []string
	}{
		{ // That of the release itself is looked for before anything is changed.
			name: "missing image", release: "good", from: "      containers:\n",
			to:   "      initContainers: [{name: migrate, image: \"localhost:5000/e2e/nothing:1\"}]\n      containers:\n",
			says: []string{"(ImagePull)", "localhost:5000/e2e/nothing:1 of init container migrate", "not found"}, hint: "docker manifest inspect localhost:5000/e2e/nothing:1",
		},
		{
			name: "crash", release: "crash", says: []string{"(CrashLoop)", "container user-service of pod user-service-canary-", "exit code 1", "cannot read the profile schema"},
			hint: "last log lines", evidence: []string{"last log lines of user-service", "cannot read the profile schema", "exit code 1"},
		},
		{
			name: "out of memory", release: "old", from: limits, to: "limits: {memory: 40Mi}\n          env: [{name: LEAK, value: \"300\"}]",
			says: []string{"(OutOfMemory)", "OOMKilled, exit code 137"}, hint: "raise resources.limits.memory of user-service (now 40Mi)",
		},
		{
			name: "missing key", release: "old", from: "key: url, optional: true", to: "key: nothing",
			says: []string{"(ConfigError)", "couldn't find key nothing in Secret"}, hint: "add the key nothing",
		},
		{name: "unready", release: "unready", says: []string{"(NotPassing)", "readiness probe (GET :http/ready) does not pass: HTTP probe failed with statuscode: 503"}, hint: "path and port of the probe"},
		{name: "quota", release: "good", says: []string{"(Quota)", "exceeded quota: full"}, hint: "describe resourcequota full"},
		{name: "no node", release: "old", from: "cpu: 10m, ", to: "cpu: 900, ", says: []string{"(Unschedulable)", "Insufficient cpu"}, hint: "kubectl describe nodes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, 1)
			path := s.pipelineFile("[{setWeight: 20%}, {pause: 3s}]")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			manifest := filepath.Join(s.dir, "deploy", "deployment.yaml")
			yaml, err := os.ReadFile(manifest)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(yaml), c.from, c.to, 1)
			if c.name == "out of memory" { // Only one list of variables can be there.
				before, rest, _ := strings.Cut(changed, "          env:\n")
				_, after, _ := strings.Cut(rest, "          readinessProbe:")
				// It must not be ready before its memory is full.
				changed = before + "          readinessProbe:" + strings.Replace(after, "periodSeconds: 1\n", "periodSeconds: 1\n            initialDelaySeconds: 20\n", 1)
			}
			if c.from != "" && changed == string(yaml) {
				t.Fatalf("the manifest has no %q", c.from)
			}
			for name, content := range map[string]string{
				path:     strings.Replace(strings.Replace(string(text), "readyTimeout: 15s", "readyTimeout: 1m", 1), "      traffic:", "      manifests: [deploy/deployment.yaml]\n      traffic:", 1),
				manifest: changed,
			} {
				if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := s.spec("Deployment", "user-service")
			if c.name == "quota" {
				// One with scopes cannot be judged beforehand.
				q := object("v1", "ResourceQuota", s.ns, "full")
				q.Object["spec"] = map[string]any{"hard": map[string]any{"pods": "1"}, "scopes": []any{"NotTerminating"}}
				s.create(q)
				s.await("the quota is counted", 20*time.Second, func() bool {
					used, _, _ := unstructured.NestedString(s.get("ResourceQuota", "full").Object, "status", "used", "pods")
					return used == "1"
				})
			}
			began := time.Now()
			r := s.run(path, c.release)
			result := r.Want(pipeline.FailedRolledBack)
			t.Logf("%s: %s\n%s", time.Since(began).Round(time.Millisecond), result.Reason, result.Hint)
			for _, words := range c.says {
				if !strings.Contains(result.Reason, words) {
					t.Errorf("the reason %q does not say %q", result.Reason, words)
				}
			}
			if !strings.Contains(result.Hint, c.hint) {
				t.Errorf("the hint %q does not say %q", result.Hint, c.hint)
			}
			evidence := ""
			for _, e := range r.All() {
				if e.Type == pipeline.EvidenceFound {
					evidence = e.Message
				}
				if e.Type == pipeline.RollingBack {
					break // What comes later has seen the pods go.
				}
			}
			for _, words := range append(c.evidence, "deployment user-service-canary", "what to do: ") {
				if !strings.Contains(evidence, words) {
					t.Errorf("the evidence does not say %q:\n%s", words, evidence)
				}
			}
			if left := s.leftovers(); len(left) > 0 || s.spec("Deployment", "user-service") != before {
				t.Errorf("it is not as it was: %v", left)
			}
		})
	}
}
