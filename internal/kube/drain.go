package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// drainAnnotation, on a pod template, says for how many seconds the hooks
// sleep that Headgate has put there, so that they are told from the user's own.
const drainAnnotation = "headgate.dev/drain"

// drain gives the containers of a Deployment that have no preStop hook one that
// sleeps for so many seconds, and the pods the time for it; those that have
// one of Headgate's get the new number. 0 leaves all as it is.
func drain(u *unstructured.Unstructured, seconds int) {
	if seconds <= 0 {
		return
	}
	before := drained(u)
	if !eachContainer(u, func(c map[string]any) bool {
		lifecycle, _ := c["lifecycle"].(map[string]any)
		if hook, ok := lifecycle["preStop"].(map[string]any); ok && (before == 0 || sleepOf(hook) != before) {
			return false
		}
		if lifecycle == nil {
			lifecycle = map[string]any{}
			c["lifecycle"] = lifecycle
		}
		lifecycle["preStop"] = map[string]any{"sleep": map[string]any{"seconds": int64(seconds)}}
		return true
	}) {
		return
	}
	set(u.Object, gracePeriod(u)+int64(seconds-before), gracePath()...)
	set(u.Object, strconv.Itoa(seconds), "spec", "template", "metadata", "annotations", drainAnnotation)
}

// drained is for how long the hooks sleep that Headgate has put into a
// Deployment's pods, 0 where there are none.
func drained(u *unstructured.Unstructured) int {
	annotations, _, _ := unstructured.NestedStringMap(u.Object, "spec", "template", "metadata", "annotations")
	n, err := strconv.Atoi(annotations[drainAnnotation])
	if err != nil || n <= 0 {
		return 0
	}
	if !slices.ContainsFunc(podContainers(u), func(c map[string]any) bool { return sleepOf(preStop(c)) == n }) {
		return 0 // Somebody has taken them out again.
	}
	return n
}

func podContainers(u *unstructured.Unstructured) []map[string]any {
	return slices.Collect(maps2(podOf(u)["containers"]))
}

// preStop returns a container's hook, nil where it has none.
func preStop(c map[string]any) map[string]any {
	lifecycle, _ := c["lifecycle"].(map[string]any)
	hook, _ := lifecycle["preStop"].(map[string]any)
	return hook
}

// sleepOf is for how many seconds a hook of the kubelet's own sleeps, 0 where
// that is not what it does.
func sleepOf(hook map[string]any) int {
	if sleep, ok := hook["sleep"].(map[string]any); ok {
		switch n := sleep["seconds"].(type) {
		case int64:
			return int(n)
		case float64:
			return int(n)
		}
		return 0
	}
	return 0
}

// lasts is for how many seconds at least a hook keeps its pod serving, 0 for
// none. What a program or a request does there cannot be read from outside,
// apart from a sleep; it counts as one second.
func lasts(hook map[string]any) int {
	if n := sleepOf(hook); n > 0 || len(hook) == 0 {
		return n
	}
	exec, _ := hook["exec"].(map[string]any)
	args, _ := exec["command"].([]any)
	var words []string
	for _, a := range args {
		words = append(words, strings.FieldsFunc(text(a), func(r rune) bool { return strings.ContainsRune(" \t\n;&|", r) })...)
	}
	for i, w := range words[:max(len(words)-1, 0)] {
		if w != "sleep" && !strings.HasSuffix(w, "/sleep") {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSuffix(words[i+1], "s")); err == nil && n > 0 {
			return n
		}
	}
	return 1
}

// Drains reads how long a workload's pods go on serving after they were told
// to end; see [stages.Drainer]. The shortest of the containers that have ports
// counts.
func (p *Platform) Drains(ctx context.Context, w stages.Workload) (int, error) {
	u, err := p.c.Get(ctx, deployments(), p.c.ns(w), w.Name)
	if IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read preStop hooks of %s: %w", w, err)
	}
	least := -1
	for _, c := range serversOf(u) {
		if n := lasts(preStop(c)); least < 0 || n < least {
			least = n
		}
	}
	return max(least, 0), nil
}

// serversOf returns the containers that have ports, all where none says so.
func serversOf(u *unstructured.Unstructured) []map[string]any {
	all := podContainers(u)
	servers := slices.DeleteFunc(slices.Clone(all), func(c map[string]any) bool {
		ports, _ := c["ports"].([]any)
		return len(ports) == 0
	})
	if len(servers) == 0 {
		return all
	}
	return servers
}

// refusedSleep explains why a cluster has refused a release with a drain.
func refusedSleep(err error, r stages.Release) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || r.Drain <= 0 || !apierrors.IsInvalid(err) || !strings.Contains(status.ErrStatus.Message, "preStop") {
		return err
	}
	return &sleepError{err}
}

// sleepError is about a cluster that does not know hooks that sleep.
type sleepError struct{ error }

// Unwrap returns the cluster's own error.
func (e *sleepError) Unwrap() error { return e.error }

// Hint says what to do instead.
func (e *sleepError) Hint() string {
	return "clusters before Kubernetes 1.30 know no hooks that sleep: leave drain out, and add a preStop hook that runs a program of the image"
}
