//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/story"
)

// way is a strategy with a router, as a team may have them.
type way struct {
	name string
	// stage is the stage of the pipeline without its name.
	stage string
	// place makes the workload's first version and what is in front of it.
	place func(s *shop, release string)
	// users is the address that users have, "" for the Gateway.
	users func(s *shop) string
	// live returns the images that have traffic or might get some.
	live func(s *shop) []string
	// recycled is whether kept connections are changed now and then: what a
	// Service without a proxy cannot do for its users.
	recycled bool
	// closes is whether what is in front closes connections on which nothing
	// was asked yet at every switch, as an nginx that is reloaded does: a
	// request that is sent at that very moment is reset before any pod sees
	// it, and clients send it again. Headgate cannot help that; a few of
	// them are therefore not held against it.
	closes bool
}

const canarySteps = "[{setWeight: 20%}, {pause: 2s}, {setWeight: 50%}, {pause: 2s}]"

func ways() []way {
	return []way{
		{
			name: "canary by replicas", recycled: true,
			stage: "canary:\n      deployment: user-service\n      traffic: {replicas: true, drain: 6s}\n      steps: " + canarySteps,
			place: func(s *shop, release string) { s.firstByHeadgate(release) },
			users: (*shop).nodePort, live: deploymentImages("user-service"),
		},
		{
			name: "rolling", recycled: true,
			stage: "rolling:\n      deployment: user-service\n      drain: 6s\n      bake: 2s",
			place: func(s *shop, release string) { s.firstByHeadgate(release) },
			users: (*shop).nodePort, live: deploymentImages("user-service"),
		},
		{
			name: "blueGreen by Service", recycled: true,
			stage: "blueGreen:\n      deployment: user-service\n      traffic: {service: user-service, drain: 6s}\n      bake: 3s",
			place: (*shop).placeBlue, users: (*shop).nodePort, live: deploymentImages("user-service-blue", "user-service-green"),
		},
		{
			name:  "blueGreen by httpRoute",
			stage: "blueGreen:\n      deployment: user-service\n      traffic: {httpRoute: user-service, drain: 6s}\n      steps: [{setWeight: 50%}, {pause: 2s}]\n      bake: 2s",
			place: (*shop).placeBlueBehindRoute, live: deploymentImages("user-service-blue", "user-service-green"),
		},
		{
			name: "blueGreen by nginx", closes: true,
			stage: "blueGreen:\n      deployment: user-service\n      traffic: {nginx: front, drain: 6s}\n      steps: [{setWeight: 50%}, {pause: 2s}]\n      bake: 2s",
			place: (*shop).placeBlueBehindNginx, users: (*shop).frontPort, live: deploymentImages("user-service-blue", "user-service-green"),
		},
		{
			name: "canary by nginx", closes: true,
			stage: "canary:\n      deployment: user-service\n      traffic: {nginx: front, drain: 6s}\n      steps: " + canarySteps,
			place: (*shop).placeBehindNginx, users: (*shop).frontPort, live: deploymentImages("user-service"),
		},
	}
}

// deploymentImages are the images of those Deployments that want any pods.
func deploymentImages(names ...string) func(s *shop) []string {
	return func(s *shop) []string {
		s.t.Helper()
		var out []string
		for _, name := range names {
			u, err := s.client("Deployment").Get(s.t.Context(), name, metav1.GetOptions{})
			if err != nil {
				continue
			}
			if n, ok, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); ok && n == 0 {
				continue
			}
			containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
			out = append(out, containers[0].(map[string]any)["image"].(string))
		}
		return out
	}
}

// nodePort is the address of the Service on this machine.
func (s *shop) nodePort() string {
	s.t.Helper()
	ports, _, _ := unstructured.NestedSlice(s.get("Service", "user-service").Object, "spec", "ports")
	return fmt.Sprintf("http://127.0.0.1:%d", ports[0].(map[string]any)["nodePort"].(int64))
}

// firstByHeadgate has headgate itself make the first version, whose pods then
// drain before they end, as the second release needs it.
func (s *shop) firstByHeadgate(release string) {
	s.t.Helper()
	s.rewrite("service.yaml", "spec:\n", "spec:\n  type: NodePort\n")
	file := strings.NewReplacer("GATES\n", story.Gates, "NAMESPACE", s.ns).Replace(waysHead) +
		"  - name: first\n    rolling: {deployment: user-service, image: \"${{ vars.image }}\", manifests: [deploy/service.yaml, deploy/deployment.yaml], drain: 6s}\n"
	path := filepath.Join(s.dir, "first.yaml")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.run(path, release).Want(pipeline.Delivered)
}

// placeBlue makes the blue colour by hand; green does not exist yet.
func (s *shop) placeBlue(release string) {
	s.t.Helper()
	s.rewrite("service.yaml", "spec:\n", "spec:\n  type: NodePort\n", "selector: {app: user-service}", "selector: {app: user-service, version: blue}")
	s.blueDeployment(release)
	for _, file := range []string{"service.yaml", "deployment.yaml"} {
		for _, u := range s.read(file) {
			s.create(u)
		}
	}
	s.readyDeployment("user-service-blue")
}

// placeBlueBehindRoute makes the blue colour with a Service of its own, which
// the route points at.
func (s *shop) placeBlueBehindRoute(release string) {
	s.t.Helper()
	s.rewrite("service.yaml", "name: user-service\n", "name: user-service-blue\n", "selector: {app: user-service}", "selector: {app: user-service, version: blue}")
	s.rewrite("route.yaml", "{name: user-service, port: 80}", "{name: user-service-blue, port: 80}")
	s.blueDeployment(release)
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		for _, u := range s.read(file) {
			s.create(u)
		}
	}
	s.readyDeployment("user-service-blue")
	s.await("the route answers", 20*time.Second, func() bool { return s.send(20).Failed == 0 })
}

func (s *shop) blueDeployment(release string) {
	s.t.Helper()
	s.rewrite("deployment.yaml", "  name: user-service\n", "  name: user-service-blue\n",
		"matchLabels: {app: user-service}", "matchLabels: {app: user-service, version: blue}",
		"      labels: {app: user-service}", "      labels: {app: user-service, version: blue}",
		shared.images["old"], shared.images[release])
}

// rewrite replaces pairs of texts in a manifest, each of which must be there.
func (s *shop) rewrite(file string, pairs ...string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "deploy", file)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			s.t.Fatalf("%s has no %q", file, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) readyDeployment(name string) {
	s.t.Helper()
	s.await(name+" is ready", time.Minute, func() bool {
		d := s.get("Deployment", name)
		want, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
		ready, _, _ := unstructured.NestedInt64(d.Object, "status", "readyReplicas")
		return ready == want
	})
}

const waysHead = `version: 1
name: user-service
vars: {image: ""}
kubernetes: {namespace: NAMESPACE}
prometheus: {url: "${{ env.HEADGATE_TEST_PROMETHEUS }}"}
GATES
stages:
`

// wayFile writes the pipeline of a way.
func (s *shop) wayFile(w way, more ...string) string {
	s.t.Helper()
	text := strings.NewReplacer("GATES\n", story.Gates, "NAMESPACE", s.ns).Replace(waysHead) +
		"  - name: rollout\n    " + w.stage + "\n      image: \"${{ vars.image }}\"\n      readyTimeout: 30s\n      gate: slo\n" + strings.Join(more, "")
	path := filepath.Join(s.dir, "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// crowd is all users of a way: new connections, kept ones, and requests that
// take long; about 200 requests a second.
type crowd struct {
	names  []string
	loads  []*load.Load
	closes bool
}

// served waits until an address answers users several times in a row: ports of
// nodes and routes come some seconds after pods are ready.
func (s *shop) served(base, host string) {
	s.t.Helper()
	well := 0
	s.await(base+" answers", 30*time.Second, func() bool {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, base+"/profile/1", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Host, req.Close = host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			well = 0
			return false
		}
		_ = resp.Body.Close()
		if well++; resp.StatusCode != http.StatusOK {
			well = 0
		}
		return well >= 5
	})
}

func (s *shop) crowd(w way) *crowd {
	s.t.Helper()
	base, host := shared.gateway, s.host
	if w.users != nil {
		base, host = w.users(s), ""
	}
	s.served(base, host)
	kept := load.Config{Rate: 100, Timeout: 6 * time.Second}
	if w.recycled {
		kept.PerConnection = 10 // about 3 s, which is less than pods drain
	}
	c := &crowd{names: []string{"new", "kept", "long"}, closes: w.closes}
	if w.closes {
		kept.NewConnections = true
	}
	for i, config := range []load.Config{
		{Rate: 100, Timeout: 6 * time.Second, NewConnections: true},
		kept,
		{Rate: 3, Timeout: 9 * time.Second, NewConnections: true},
	} {
		path := "/profile/{n}"
		if i == 2 {
			path += "?takes=4s"
		}
		config.URL, config.Host, config.For = base+path, host, 5*time.Minute
		l, err := load.Start(s.t.Context(), config)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { l.Stop() })
		c.loads = append(c.loads, l)
	}
	return c
}

// closedAtMost is how many requests a front that closes connections may reset
// in a whole release.
const closedAtMost = 3

// stop ends all loads and tells what they saw. What a front that closes
// connections has reset, as long as it is little, is not among the failed.
func (c *crowd) stop(t *testing.T) (requests, failed int, failedOf map[string]int) {
	t.Helper()
	failedOf = map[string]int{}
	resets := 0
	for i, l := range c.loads {
		r := l.Stop()
		requests, failed = requests+r.Requests, failed+r.Failed
		if i < 2 { // never one that was under way for seconds
			resets += r.Kinds[load.Reset]
		}
		for version, v := range r.Versions {
			failedOf[version] += v.Failed
		}
		t.Logf("%s connections: %d of %d failed %v", c.names[i], r.Failed, r.Requests, r.Kinds)
		if r.Failed > 0 {
			t.Logf("%v", r.Failures[:min(5, len(r.Failures))])
		}
	}
	if c.closes && resets <= closedAtMost {
		failed -= resets
	}
	return requests, failed, failedOf
}

// TestGoodReleaseIsDeliveredInEveryWay loses no request, whether the app ends
// gracefully or not.
func TestGoodReleaseIsDeliveredInEveryWay(t *testing.T) {
	for _, w := range ways() {
		for _, graceful := range []string{"", "-graceful"} {
			t.Run(w.name+graceful, func(t *testing.T) {
				s := openShop(t)
				w.place(s, "old"+graceful)
				users := s.crowd(w)
				time.Sleep(2 * time.Second) // they are many before the release begins
				r := s.run(s.wayFile(w), "good"+graceful)
				r.Want(pipeline.Delivered)
				time.Sleep(8 * time.Second) // pods that were told to end do so meanwhile
				requests, failed, _ := users.stop(t)
				if failed > 0 || requests < 2000 {
					t.Errorf("%d of %d requests failed\n%s", failed, requests, r.Story())
				}
				if got := w.live(s); len(got) != 1 || got[0] != shared.images["good"+graceful] {
					t.Errorf("live is %q, want the new release alone", got)
				}
			})
		}
	}
}

// TestBadReleaseIsPutBackInEveryWay loses no requests but those that the bad
// version itself answered badly.
func TestBadReleaseIsPutBackInEveryWay(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			s := openShop(t)
			w.place(s, "old")
			before := w.live(s)
			users := s.crowd(w)
			time.Sleep(2 * time.Second)
			r := s.run(s.wayFile(w), "errors")
			r.Want(pipeline.FailedRolledBack)
			time.Sleep(8 * time.Second)
			requests, failed, of := users.stop(t)
			t.Logf("%d of %d failed, of the bad version %d", failed, requests, of["errors"])
			if failed != of["errors"] || of["errors"] == 0 {
				t.Errorf("%d requests failed that the bad version did not answer\n%s", failed-of["errors"], r.Story())
			}
			if got := w.live(s); fmt.Sprint(got) != fmt.Sprint(before) {
				t.Errorf("live is %q, want %q", got, before)
			}
		})
	}
}
