package kube

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headgate-dev/headgate/stages"
)

// How much evidence is collected.
const (
	logLines      = 25
	logBytes      = 16 << 10
	logTimeout    = 3 * time.Second
	evidencePods  = 3
	evidenceLines = 12 // events of a pod
)

// Diagnose tells what there is to know about a track in trouble: its pods,
// what their containers do and did, events, and last log lines. Pods in
// trouble come first, and few of them are told of in full.
func (p *Platform) Diagnose(ctx context.Context, t stages.Track) (string, error) {
	name := trackName(t)
	o, err := p.look(ctx, t)
	if err != nil {
		return "", fmt.Errorf("diagnose %s: %w", t, err)
	}
	var b strings.Builder
	st := o.deployment.Status
	fmt.Fprintf(&b, "deployment %s: %d wanted, %d updated, %d ready, %d available\n", name, wantedReplicas(o.deployment),
		st.UpdatedReplicas, st.ReadyReplicas, st.AvailableReplicas)
	for _, q := range o.diagnose(p.set.Restarts) {
		fmt.Fprintf(&b, "%s: %s\n  what to do: %s\n", q.Code, q.Cause, q.Action)
	}
	fresh, _ := o.newPods()
	slices.SortStableFunc(fresh, func(a, c corev1.Pod) int {
		return cmp.Compare(milestone(a), milestone(c)) // The furthest behind first.
	})
	for i, pod := range fresh {
		if i == evidencePods {
			fmt.Fprintf(&b, "and %d more pods\n", len(fresh)-i)
			break
		}
		p.tell(ctx, &b, o, pod)
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// look reads a track once.
func (p *Platform) look(ctx context.Context, t stages.Track) (observed, error) {
	o, ns, name := observed{workload: t.Workload.Name}, p.c.ns(t.Workload), trackName(t)
	u, err := p.c.Get(ctx, deployments(), ns, name)
	if err != nil {
		return o, err
	}
	if o.deployment, err = decode[appsv1.Deployment](u); err != nil {
		return o, err
	}
	selector, err := metav1.LabelSelectorAsSelector(o.deployment.Spec.Selector)
	if err != nil {
		return o, err
	}
	opts := metav1.ListOptions{LabelSelector: selector.String()}
	if o.sets, err = listAs[appsv1.ReplicaSet](ctx, p.c, replicaSets(), ns, opts); err != nil {
		return o, err
	}
	if o.pods, err = listAs[corev1.Pod](ctx, p.c, pods(), ns, opts); err != nil {
		return o, err
	}
	o.events = p.eventsOf(ctx, ns)
	return o, p.routes(ctx, ns, &o)
}

// routes reads the Services of a track and what their endpoints hold.
func (p *Platform) routes(ctx context.Context, ns string, o *observed) error {
	svcs, err := listAs[corev1.Service](ctx, p.c, services(), ns, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, s := range selectingAll(svcs, o.deployment.Spec.Template.Labels) {
		o.services = append(o.services, s.Name)
	}
	if len(o.services) == 0 {
		return nil
	}
	o.slices, err = listAs[discoveryv1.EndpointSlice](ctx, p.c, endpointSlices(), ns, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + " in (" + strings.Join(o.services, ",") + ")",
	})
	return err
}

// eventsOf reads the events of a namespace, as far as that is possible: they
// make a cause clearer, and nothing depends on them.
func (p *Platform) eventsOf(ctx context.Context, ns string) []corev1.Event {
	es, err := listAs[corev1.Event](ctx, p.c, events(), ns, metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod"})
	if err != nil {
		return nil
	}
	return es
}

// tell writes about one pod.
func (p *Platform) tell(ctx context.Context, b *strings.Builder, o observed, pod corev1.Pod) {
	fmt.Fprintf(b, "\npod %s: %s", pod.Name, pod.Status.Phase)
	if pod.Spec.NodeName != "" {
		fmt.Fprintf(b, " on node %s", pod.Spec.NodeName)
	}
	b.WriteByte('\n')
	for _, cs := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		fmt.Fprintf(b, "  container %s (%s): %s, %d restarts\n", cs.Name, imageOf(pod, cs), stateOf(cs), cs.RestartCount)
	}
	var about []corev1.Event
	for _, e := range o.events {
		if e.InvolvedObject.UID == pod.UID && e.Type == corev1.EventTypeWarning {
			about = append(about, e)
		}
	}
	slices.SortStableFunc(about, func(a, c corev1.Event) int { return when(a).Compare(when(c)) })
	for _, e := range about[max(0, len(about)-evidenceLines):] {
		fmt.Fprintf(b, "  event %s (%s): %s\n", e.Reason, times(int(max(e.Count, 1))), sentence(e.Message))
	}
	for _, cs := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if cs.Ready || cs.State.Terminated != nil && cs.State.Terminated.ExitCode == 0 {
			continue
		}
		before := cs.LastTerminationState.Terminated != nil && cs.State.Terminated == nil
		if before {
			p.tellLog(ctx, b, "last log lines of "+cs.Name+" before it ended", logOf{pod.Namespace, pod.Name, cs.Name, true})
		}
		if !before || cs.State.Running != nil {
			p.tellLog(ctx, b, "last log lines of "+cs.Name, logOf{pod.Namespace, pod.Name, cs.Name, false})
		}
	}
}

// tellLog writes the end of a log; a container that never ran has none.
func (p *Platform) tellLog(ctx context.Context, b *strings.Builder, title string, l logOf) {
	lines, err := p.c.logs(ctx, l)
	if err != nil || len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s:\n", title)
	for _, line := range lines {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// imageOf is the image as the specification has it; the status of a running
// container may only say what the node calls it.
func imageOf(pod corev1.Pod, cs corev1.ContainerStatus) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == cs.Name {
			return c.Image
		}
	}
	return cs.Image
}

// stateOf says what a container does and how it ended the last time.
func stateOf(cs corev1.ContainerStatus) string {
	ended := func(t *corev1.ContainerStateTerminated) string {
		return strings.TrimSpace(fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode))
	}
	s := "not started"
	switch {
	case cs.State.Waiting != nil:
		s = "waiting (" + cs.State.Waiting.Reason + ")"
	case cs.State.Running != nil:
		s = "running"
		if !cs.Ready {
			s = "running, not ready"
		}
	case cs.State.Terminated != nil:
		s = "ended (" + ended(cs.State.Terminated) + ")"
	}
	if t := cs.LastTerminationState.Terminated; t != nil {
		s += ", before that ended (" + ended(t) + ")"
	}
	return s
}

// logOf says which log.
type logOf struct {
	namespace, pod, container string
	previous                  bool
}

// noLog is what a kubelet sends in place of the log of a container that is
// gone already.
var noLog = pattern(`^(unable to retrieve container logs for|failed to try resolving symlinks in path) `)

var errNoLogs = errors.New("there is no access to logs")

// logs reads the last lines of a container's log, a bounded part of it within
// a bounded time.
func (c *Cluster) logs(ctx context.Context, l logOf) ([]string, error) {
	if c.raw == nil {
		return nil, errNoLogs
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	req := c.raw.Get().AbsPath("/api/v1/namespaces", l.namespace, "pods", l.pod, "log").
		Param("container", l.container).
		Param("tailLines", fmt.Sprint(logLines)).
		Param("limitBytes", fmt.Sprint(logBytes))
	if l.previous {
		req = req.Param("previous", "true")
	}
	body, err := req.Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read log of %s/%s: %w", l.pod, l.container, err)
	}
	defer func() { _ = body.Close() }()
	var lines []string
	for sc := bufio.NewScanner(io.LimitReader(body, logBytes)); sc.Scan(); {
		lines = append(lines, shorten(strings.ToValidUTF8(sc.Text(), "?"), 500))
	}
	if len(lines) == 1 && noLog().MatchString(lines[0]) {
		return nil, errNoLogs
	}
	return lines[max(0, len(lines)-logLines):], nil
}

// lastWords returns the last line that a container in trouble has logged, ""
// where there is none.
func (p *Platform) lastWords(ctx context.Context, ns string, q Problem) string {
	if !q.speaks() {
		return ""
	}
	for _, previous := range []bool{q.Previous, !q.Previous} {
		lines, err := p.c.logs(ctx, logOf{ns, q.Pod, q.Container, previous})
		if err != nil {
			continue
		}
		for _, l := range slices.Backward(lines) {
			if l = strings.TrimSpace(l); l != "" {
				return shorten(l, 200)
			}
		}
	}
	return ""
}
