package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	pods = 5
	// canaryGoal is for a machine on which a plain rolling update takes 2.1 s,
	// canaryRatio the same for any other: a canary starts and ends each pod
	// twice.
	canaryGoal  = 5 * time.Second
	canaryRatio = 5 / 2.1
	// drain is how long a track without traffic keeps its pods. The default
	// is 5 s; a quarter of one is about twice what the test cluster's proxy
	// takes to learn of new weights.
	drain = 250 * time.Millisecond
)

// pipeline is measured from the start of the process to its end: one canary
// in the steps of the figures of others, without pauses and without a gate.
const pipeline = `version: 1
name: bench
vars: {image: ""}
kubernetes: {namespace: NAMESPACE}
stages:
  - name: rollout
    canary:
      deployment: user-service
      image: "${{ vars.image }}"
      traffic: {httpRoute: user-service, drain: DRAIN, settle: DRAIN}
      steps: [{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}]
`

// turns gathers what rollouts of one service took, side by side.
type turns struct {
	plain, ours sample
	phases      *phases
	busy        int // turns that began on a machine with other work
}

// rolloutFigures measures rollouts that take turns. When it is interrupted it
// prints what it has.
func rolloutFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	c, err := connect(ctx, s, dir)
	if err != nil {
		return err
	}
	defer c.close()
	all := turns{phases: newPhases()}
	warm := turns{phases: newPhases()} // The first turn brings the images to the node.
	if err := warm.turn(ctx, c, s, c.images[1]); err != nil {
		return err
	}
	for i := range s.rounds {
		if err = all.turn(ctx, c, s, c.images[i%2]); err != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "bench: turn %d of %d: rolling update %s, headgate run %s\n", i+1, s.rounds, short(all.plain[i]), short(all.ours[i]))
	}
	if len(all.ours) > 0 {
		all.print(out)
	}
	return err
}

// turn rolls an image out in each way.
func (t *turns) turn(ctx context.Context, c *cluster, s settings, image string) error {
	calm := s.quiet == 0 || quiet(ctx, s.quiet)
	plain, err := c.plain(ctx, image)
	if err != nil {
		return fmt.Errorf("rolling update: %w", err)
	}
	calm = (s.quiet == 0 || quiet(ctx, s.quiet)) && calm
	ours, events, err := c.canary(ctx, s.binary, image)
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	if !calm {
		t.busy++
	}
	t.plain, t.ours = append(t.plain, plain), append(t.ours, ours)
	t.phases.add(ours, events)
	return nil
}

func (t *turns) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d pods, readiness probe every second, image on the node:\n", pods)
	if t.busy > 0 {
		fmt.Fprintf(out, "(the machine did not get quiet before %d of %d turns)\n", t.busy, len(t.ours))
	}
	fmt.Fprintf(out, "Deployment, rolling update, 25%% surge: %s\n", t.plain)
	fmt.Fprintf(out, "headgate run, canary 20/40/60/80, drain and settle %s: %s; %s\n", drain, t.ours, against(t.ours, canaryGoal))
	fmt.Fprintf(out, "  times a rolling update: %s; %s\n", ratio(t.ours, t.plain), atMost(t.ours, t.plain, canaryRatio))
	fmt.Fprintln(out, "where headgate's time goes, medians:")
	t.phases.print(out)
}

// pipelineFile writes the file for a namespace.
func pipelineFile(dir, namespace string) (string, error) {
	path := filepath.Join(dir, "headgate.yaml")
	return path, os.WriteFile(path, []byte(filled(pipeline, "NAMESPACE", namespace, "DRAIN", drain.String())), 0o644)
}
