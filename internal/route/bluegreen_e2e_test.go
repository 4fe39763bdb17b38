//go:build e2e

package route_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/test/nginx"
)

// answers makes the pods of a Deployment say a word, with nginx for an app.
func answers(u *unstructured.Unstructured, image, word string) {
	conf := `events {} http { server { listen 8000; location / { return 200 \"` + word + `\"; } } }`
	_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{
		"name": "user-service", "image": image, "command": []any{"sh", "-c", `printf "` + conf + `" >/tmp/n.conf; exec nginx -c /tmp/n.conf -g "daemon off;"`},
		"ports":          []any{map[string]any{"containerPort": int64(8000)}},
		"readinessProbe": map[string]any{"tcpSocket": map[string]any{"port": int64(8000)}, "periodSeconds": int64(1)},
	}}, "spec", "template", "spec", "containers")
}

// apply creates the objects of texts, each in a namespace of its own of this
// test; edit may change them before.
func apply(t *testing.T, c *kube.Cluster, replace *strings.Replacer, texts []string, edit func(u *unstructured.Unstructured)) {
	t.Helper()
	for _, text := range texts {
		for _, u := range kubetest.Objects(t, replace.Replace(text)) {
			if u.GetKind() == "Namespace" {
				continue
			}
			edit(u)
			if _, err := c.Create(t.Context(), resource(u), u, kube.Write{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// load sends 50 requests a second, on new connections and kept ones, until it
// is stopped.
type load struct {
	mu     sync.Mutex
	all    int
	failed []string
	stop   chan struct{}
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, url string) *load {
	l := &load{stop: make(chan struct{})}
	for i := range 5 {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.wg.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
				_, err := ask(client, url)
				l.mu.Lock()
				if l.all++; err != nil {
					l.failed = append(l.failed, err.Error())
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d of %d requests failed", len(l.failed), l.all)
	if len(l.failed) > 0 || l.all < 50 {
		t.Errorf("%d of %d requests failed: %s", len(l.failed), l.all, strings.Join(l.failed, "\n"))
	}
}

func ask(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(b), err
}

// mix asks n times and counts who answered.
func mix(t *testing.T, url string, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range n {
		word, err := ask(&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, url)
		if err != nil {
			t.Fatal(err)
		}
		out[word]++
	}
	return out
}

func nodePort(t *testing.T, c *kube.Cluster, ns, name string) string {
	t.Helper()
	u, err := c.Get(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "services"}, ns, name)
	if err != nil {
		t.Fatal(err)
	}
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	return fmt.Sprintf("http://127.0.0.1:%v/", ports[0].(map[string]any)["nodePort"])
}

func file(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/ecommerce/blue-green/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func colours(blue, green string) stages.Split {
	b := stages.Workload{Namespace: blue, Name: "user-service-blue"}
	g := stages.Workload{Namespace: green, Name: "user-service-green"}
	return stages.Split{Old: stages.Track{Workload: b, Name: stages.Blue, Peer: g}, New: stages.Track{Workload: g, Name: stages.Green, Peer: b}}
}

// TestE2EExampleSwitchesUnderLoad: the example's two environments and its
// nginx, switched back and forth while it is used.
func TestE2EExampleSwitchesUnderLoad(t *testing.T) {
	c := e2eCluster(t)
	image, err := nginx.Image(t.Context(), cmp.Or(os.Getenv("HEADGATE_TEST_REGISTRY"), "localhost:5000"))
	if err != nil {
		t.Fatal(err)
	}
	blue, green, front := testNamespace(t, c), testNamespace(t, c), testNamespace(t, c)
	replace := strings.NewReplacer("ecommerce-blue", blue, "ecommerce-green", green, "namespace: ecommerce\n", "namespace: "+front+"\n", "nginx:1.21", image, "ecommerce/", "r.example/")
	apply(t, c, replace, []string{file(t, "blue-environment.yaml"), file(t, "green-environment.yaml"), file(t, "nginx.yaml")}, func(u *unstructured.Unstructured) {
		switch {
		case u.GetKind() == "Deployment" && u.GetNamespace() != front:
			answers(u, image, strings.TrimPrefix(u.GetName(), "user-service-"))
		case u.GetKind() == "Service" && u.GetNamespace() == front:
			_ = unstructured.SetNestedField(u.Object, "NodePort", "spec", "type")
		}
	})
	for ns, name := range map[string]string{blue: "user-service-blue", green: "user-service-green", front: "nginx-load-balancer"} {
		awaitReady(t, c, ns, name)
	}
	r, err := route.New(c, stages.NginxRouter, route.Settings{Namespace: front, Route: "nginx-config", Split: colours(blue, green), Upstream: "user-service"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.(stages.Checker).Check(t.Context(), stages.RolloutCheck{Kind: "blueGreen", Split: colours(blue, green)})
	if err != nil || len(found) > 0 {
		t.Errorf("findings %v, %v", found, err)
	}
	switchUnderLoad(t, r, nodePort(t, c, front, "nginx-load-balancer"), []float64{0, 20, 100, 0, 0.5, 100}, 0)
}

// switchUnderLoad goes through weights and restores, and looks after each at
// who answers: at once, or as soon as what carries the change out may follow.
func switchUnderLoad(t *testing.T, r stages.Router, url string, weights []float64, lag time.Duration) {
	t.Helper()
	right := func(w float64) {
		var got map[string]int
		for end := time.Now().Add(lag); ; {
			got = mix(t, url, 20)
			if !(w == 0 && got["green"] > 0 || w == 100 && got["blue"] > 0 || w == 20 && (got["green"] < 1 || got["green"] > 9)) {
				return
			}
			if time.Now().After(end) {
				t.Errorf("at %v %% the answers are %v", w, got)
				return
			}
		}
	}
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, url)
	defer l.end(t)
	for i, w := range weights[1:] {
		began := time.Now()
		if err := r.SetWeight(t.Context(), weights[i], w); err != nil {
			t.Fatal(err)
		}
		t.Logf("%v to %v took %s", weights[i], w, time.Since(began).Round(time.Millisecond))
		right(w)
		time.Sleep(time.Second) // Some load between two switches.
	}
	began := time.Now()
	if err := r.Restore(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	t.Logf("putting back took %s", time.Since(began).Round(time.Millisecond))
	right(0)
}

// TestE2EServiceSwitchesUnderLoad: the same two Deployments in one namespace,
// behind a Service.
func TestE2EServiceSwitchesUnderLoad(t *testing.T) {
	c := e2eCluster(t)
	image, err := nginx.Image(t.Context(), cmp.Or(os.Getenv("HEADGATE_TEST_REGISTRY"), "localhost:5000"))
	if err != nil {
		t.Fatal(err)
	}
	ns := testNamespace(t, c)
	replace := strings.NewReplacer("ecommerce-blue", ns, "ecommerce-green", ns)
	users := strings.NewReplacer("name: user-service-blue", "name: user-service", "ClusterIP", "NodePort").Replace(strings.Split(file(t, "blue-environment.yaml"), "---\n")[2])
	apply(t, c, replace, []string{file(t, "blue-environment.yaml"), file(t, "green-environment.yaml"), users}, func(u *unstructured.Unstructured) {
		if u.GetKind() == "Deployment" {
			answers(u, image, strings.TrimPrefix(u.GetName(), "user-service-"))
		}
	})
	awaitReady(t, c, ns, "user-service-blue")
	awaitReady(t, c, ns, "user-service-green")
	r, err := route.New(c, stages.ServiceRouter, route.Settings{Route: "user-service", Service: "user-service", Split: colours(ns, ns)})
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.(stages.Checker).Check(t.Context(), stages.RolloutCheck{Kind: "blueGreen", Split: colours(ns, ns)})
	if err != nil || len(found) != 1 || !found[0].Warning {
		t.Errorf("findings %v, %v; want the warning about kept connections", found, err)
	}
	switchUnderLoad(t, r, nodePort(t, c, ns, "user-service"), []float64{0, 100, 0, 100}, 3*time.Second)
}
