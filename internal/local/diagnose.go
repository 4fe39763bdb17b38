package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/internal/local/pods"
	"github.com/headgate-dev/headgate/stages"
)

// How much evidence is collected.
const (
	evidencePods  = 3
	evidenceLines = 25
)

var _ stages.Diagnoser = (*World)(nil)

// Diagnose tells what there is to know about a track in trouble: its pods,
// what their processes do and did, and their last lines.
func (w *World) Diagnose(ctx context.Context, t stages.Track) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	t = w.placedTrack(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.state.Deployments[trackKey(t)]
	if !ok {
		return "", fmt.Errorf("diagnose %s: there is no deployment %s", t, trackKey(t))
	}
	var b strings.Builder
	p := w.progress(waiting{name: trackKey(t), replicas: -1})
	fmt.Fprintf(&b, "deployment %s: %d wanted, %s\n", d.Object.Name, d.replicas(), p.line)
	if p.fatal != nil {
		fmt.Fprintf(&b, "%s: %s\n", p.fatal.code, p.fatal.cause)
	}
	hash, told := templateHash(&d.Object), 0
	if r := w.running[trackKey(t)]; r != nil {
		all := slices.Clone(r.pods)
		slices.SortStableFunc(all, func(a, b *livePod) int { return truth(a.ready()) - truth(b.ready()) })
		for _, pod := range all {
			if pod.hash == hash && told < evidencePods {
				told++
				tell(&b, pod)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// tell writes about one pod.
func tell(b *strings.Builder, p *livePod) {
	fmt.Fprintf(b, "\npod %s\n", p.name)
	if p.fault != nil {
		fmt.Fprintf(b, "  %s: %s\n", p.fault.code, p.fault.cause)
	}
	if p.run == nil {
		return
	}
	for _, c := range slices.Concat(p.status.Init, p.status.Containers) {
		fmt.Fprintf(b, "  container %s: %s, %d restarts\n", c.Name, doing(c), c.Restarts)
		if c.Message != "" {
			fmt.Fprintf(b, "    %s\n", c.Message)
		}
		if lines := p.run.Logs(c.Name, evidenceLines); len(lines) > 0 {
			fmt.Fprintf(b, "  last log lines of %s:\n", c.Name)
			for _, l := range lines {
				fmt.Fprintf(b, "    %s\n", l)
			}
		}
	}
}

// doing says what a container does and how it ended the last time.
func doing(c pods.ContainerStatus) string {
	s := "not started"
	switch {
	case c.Running && c.Ready:
		s = "running"
	case c.Running:
		s = "running, not ready"
	case c.Waiting != "":
		s = "waiting (" + c.Waiting + ")"
	case c.Ready:
		s = "done"
	}
	if e := c.Exit; e != nil {
		s += ", before that " + e.Message
	}
	return s
}
