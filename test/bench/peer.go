package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	rollouts    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// argoMetrics is where the test cluster's controller of Argo Rollouts tells of
// itself.
const argoMetrics = "http://127.0.0.1:10290/metrics"

// runMemoryGoal is for the process of a rollout.
const runMemoryGoal = 100 << 20

// figures are what one rollout took.
type figures struct {
	rollout, change time.Duration
	requests        int
	memory          int64 // bytes, at the most; of a controller, at the end
}

// rival is one that rolls out, and what its rollouts took.
type rival struct {
	name string
	roll func(ctx context.Context, image string) (figures, error)
	took []figures
}

// peerFigures lets Headgate and Argo Rollouts roll the same workload out, in
// turns on one cluster.
func peerFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	c, err := connect(ctx, s, dir)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.api.Resource(definitions).Get(ctx, "rollouts.argoproj.io", metav1.GetOptions{}); apierrors.IsNotFound(err) {
		fmt.Fprintln(out, "\nArgo Rollouts: skipped, it is not on this cluster; on that of the tests, go run ./test/cluster part start argorollouts")
		return nil
	} else if err != nil {
		return err
	}
	proxy, err := c.counting(dir)
	if err != nil {
		return err
	}
	defer proxy.close()
	for _, n := range []int{5, 20} {
		for _, strategy := range []string{"canary", "blueGreen"} {
			if err := c.match(ctx, s, proxy, contest{strategy, n, out}); err != nil {
				return fmt.Errorf("%s of %d pods: %w", strategy, n, err)
			}
		}
	}
	return nil
}

// contest is what is compared.
type contest struct {
	strategy string
	pods     int
	out      io.Writer
}

func (c *cluster) match(ctx context.Context, s settings, proxy *counter, m contest) error {
	ours, err := c.place(ctx, s.root, placing{byHeadgate, m})
	if err != nil {
		return err
	}
	defer c.remove(ours)
	theirs, err := c.place(ctx, s.root, placing{byArgo, m})
	if err != nil {
		return err
	}
	defer c.remove(theirs)
	rivals := []*rival{
		{name: "Headgate", roll: func(ctx context.Context, image string) (figures, error) {
			return c.rollHeadgate(ctx, s.binary, proxy, job{ours, m, image})
		}},
		{name: "Argo Rollouts", roll: func(ctx context.Context, image string) (figures, error) {
			return c.rollArgo(ctx, job{theirs, m, image})
		}},
	}
	// The first turn brings the images to the node, and blue/green both colours.
	for i := range s.rounds + 2 {
		for _, r := range rivals {
			f, err := r.roll(ctx, c.images[(i+1)%2])
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if i >= 2 {
				r.took = append(r.took, f)
			}
		}
	}
	m.print(rivals)
	return nil
}

func (m contest) print(rivals []*rival) {
	fmt.Fprintf(m.out, "\n%s of %d pods:\n", m.strategy, m.pods)
	var rollout, change []sample
	for _, r := range rivals {
		var all, changes sample
		var requests, memory sample
		for _, f := range r.took {
			all, changes = append(all, f.rollout), append(changes, f.change)
			requests, memory = append(requests, time.Duration(f.requests)), append(memory, time.Duration(f.memory))
		}
		rollout, change = append(rollout, all), append(change, changes)
		fmt.Fprintf(m.out, "  %-14s rollout %s; requests to the API %d; memory %.1f MB\n", r.name, all, int64(requests.median()), float64(memory.median())/1e6)
		if m.strategy == "blueGreen" {
			fmt.Fprintf(m.out, "  %-14s from the last new pod's readiness to the switch %s\n", "", changes)
		}
	}
	fmt.Fprintf(m.out, "  rollout, ours to theirs: %s; %s\n", ratio(rollout[0], rollout[1]), atMost(rollout[0], rollout[1], 1))
	if m.strategy == "blueGreen" {
		fmt.Fprintf(m.out, "  switch, ours to theirs: %s; %s\n", ratio(change[0], change[1]), atMost(change[0], change[1], 1))
	}
	var most int64
	for _, f := range rivals[0].took {
		most = max(most, f.memory)
	}
	verdict := "met"
	if most > runMemoryGoal {
		verdict = "MISSED"
	}
	fmt.Fprintf(m.out, "  our memory at the most: %.1f MB; goal %d MB %s\n", float64(most)/1e6, runMemoryGoal>>20, verdict)
}

// job is one rollout.
type job struct {
	ns string
	contest
	image string
}

// rollArgo sets the image and waits until the controller calls the Rollout
// healthy.
func (c *cluster) rollArgo(ctx context.Context, j job) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.still(ctx, j.ns, j.pods); err != nil {
		return figures{}, err
	}
	before, err := argoFigure("controller_clientset_k8s_request_total")
	if err != nil {
		return figures{}, err
	}
	seen, err := c.watchSwitch(ctx, j)
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, j.image)
	u, err := c.api.Resource(rollouts).Namespace(j.ns).Patch(ctx, "user-service", types.JSONPatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return figures{}, err
	}
	if err := c.awaitRollout(ctx, j.ns, u.GetGeneration()); err != nil {
		return figures{}, err
	}
	f := figures{rollout: time.Since(began)}
	if f.change, err = seen(); err != nil {
		return figures{}, err
	}
	after, err := argoFigure("controller_clientset_k8s_request_total")
	if err != nil {
		return figures{}, err
	}
	memory, err := argoFigure("process_resident_memory_bytes")
	f.requests, f.memory = int(after-before), int64(memory)
	return f, err
}

// awaitRollout watches a Rollout until it is healthy with what it was given.
func (c *cluster) awaitRollout(ctx context.Context, ns string, generation int64) error {
	healthy := func(u unstructured.Unstructured) bool {
		status, _, _ := unstructured.NestedMap(u.Object, "status")
		return status["phase"] == "Healthy" && status["observedGeneration"] == strconv.FormatInt(generation, 10) && status["stableRS"] == status["currentPodHash"]
	}
	return await(ctx, c.api.Resource(rollouts).Namespace(ns), healthy)
}

// argoFigure is the sum of a metric of the controller.
func argoFigure(metric string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, argoMetrics, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for _, m := range regexp.MustCompile(`(?m)^`+metric+`(?:\{[^\n]*\})? (\S+)$`).FindAllSubmatch(text, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", metric, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("%s has no metric %s", argoMetrics, metric)
	}
	return sum, nil
}

// remove takes a namespace away.
func (c *cluster) remove(ns string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := c.api.Resource(namespaces).Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, "bench: remove namespace:", err)
	}
}
