package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// argoRollouts is the name of the one part that up leaves out.
const (
	argoRollouts = "argorollouts"
	argoModule   = "github.com/argoproj/argo-rollouts"
)

// argoRolloutsPart is the controller of Argo Rollouts, with its definitions.
// It starts when asked for, on a cluster that is up.
func (c *cluster) argoRolloutsPart(program string) part {
	return part{
		name: argoRollouts,
		argv: []string{
			program, "--kubeconfig=" + c.kubeconfig(), "--leader-elect=false", "--loglevel=info",
			"--healthzPort=" + argoHealthPort, "--metricsPort=" + argoMetricsPort,
		},
		ready: answers("http://127.0.0.1:" + argoHealthPort + "/healthz"),
	}
}

// prepareArgoRollouts builds the controller and brings its definitions into
// the cluster.
func (c *cluster) prepareArgoRollouts(ctx context.Context) (part, error) {
	for _, s := range sources() {
		if s.name != argoRollouts {
			continue
		}
		bin, err := c.buildSource(ctx, s)
		if err != nil {
			return part{}, err
		}
		return c.argoRolloutsPart(filepath.Join(bin, "rollouts-controller")), c.applyArgoRollouts(ctx)
	}
	return part{}, fmt.Errorf("find %s: no such source", argoRollouts)
}

func (c *cluster) applyArgoRollouts(ctx context.Context) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	out, err := c.goTool(ctx, "parts/argorollouts", "mod", "download", "-json", argoModule)
	if err != nil {
		return fmt.Errorf("fetch Argo Rollouts: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return fmt.Errorf("fetch Argo Rollouts: %w", err)
	}
	for file, plural := range map[string]string{
		"rollout": "rollouts", "analysis-run": "analysisruns", "analysis-template": "analysistemplates",
		"cluster-analysis-template": "clusteranalysistemplates", "experiment": "experiments",
	} {
		content, err := os.ReadFile(filepath.Join(module.Dir, "manifests", "crds", file+"-crd.yaml"))
		if err != nil {
			return fmt.Errorf("read resource definition: %w", err)
		}
		name := plural + ".argoproj.io"
		if err := client.Apply(ctx, crdPath+name, content); err != nil {
			return err
		}
		established := part{name: argoRollouts, ready: c.condition(crdPath+name, "Established")}
		if err := c.wait(ctx, established, nil); err != nil {
			return err
		}
	}
	return nil
}
