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
	// canaryGoal is for a machine that does nothing else.
	canaryGoal = 5 * time.Second
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
      traffic: {httpRoute: user-service, drain: DRAIN}
      steps: [{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}]
`

// rolloutFigures measures rollouts of one service side by side, taking turns.
func rolloutFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	c, err := connect(ctx, s, dir)
	if err != nil {
		return err
	}
	defer c.close()
	var plain, ours sample
	phases, busy := newPhases(), 0
	for i := range s.rounds + 1 { // The first brings the images to the node.
		image := c.images[(i+1)%2]
		calm := s.quiet == 0 || quiet(ctx, s.quiet)
		p, err := c.plain(ctx, image)
		if err != nil {
			return fmt.Errorf("rolling update: %w", err)
		}
		calm = (s.quiet == 0 || quiet(ctx, s.quiet)) && calm
		o, events, err := c.canary(ctx, s.binary, image)
		if err != nil {
			return fmt.Errorf("canary: %w", err)
		}
		if i == 0 {
			continue
		}
		if !calm {
			busy++
		}
		plain, ours = append(plain, p), append(ours, o)
		phases.add(o, events)
	}
	fmt.Fprintf(out, "\n%d pods, readiness probe every second, image on the node:\n", pods)
	if busy > 0 {
		fmt.Fprintf(out, "(the machine did not get quiet before %d of %d rounds)\n", busy, s.rounds)
	}
	fmt.Fprintf(out, "Deployment, rolling update, 25%% surge: %s\n", plain)
	fmt.Fprintf(out, "headgate run, canary 20/40/60/80, drain %s: %s; %s\n", drain, ours, against(ours, canaryGoal))
	fmt.Fprintf(out, "  times a rolling update: %s\n", ratio(ours, plain))
	fmt.Fprintln(out, "where headgate's time goes, medians:")
	phases.print(out)
	return nil
}

// pipelineFile writes the file for a namespace.
func pipelineFile(dir, namespace string) (string, error) {
	path := filepath.Join(dir, "headgate.yaml")
	return path, os.WriteFile(path, []byte(filled(pipeline, "NAMESPACE", namespace, "DRAIN", drain.String())), 0o644)
}
