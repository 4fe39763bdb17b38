package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// workloads is how many are rolled out one after another, and grown how much
// more the last tenth may take than the first.
const (
	workloads = 50
	grown     = 1.5
)

// manyPipeline updates one of them.
const manyPipeline = `version: 1
name: NAME
vars: {image: ""}
kubernetes: {namespace: NAMESPACE}
stages:
  - name: rollout
    rolling: {deployment: NAME, image: "${{ vars.image }}"}
`

// manyFigures rolls many workloads of one cluster out, one after another, and
// shows that the last ones take no more than the first.
func manyFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	c, err := connect(ctx, s, dir)
	if err != nil {
		return err
	}
	defer c.close()
	proxy, err := c.counting(dir)
	if err != nil {
		return err
	}
	defer proxy.close()
	ns := c.ns[byHeadgate]
	for i := range workloads {
		if err := c.small(ctx, s.root, ns, fmt.Sprintf("service-%d", i)); err != nil {
			return err
		}
	}
	if err := c.still(ctx, ns, workloads+pods); err != nil {
		return err
	}
	var took, requests, memory sample
	for i := range workloads {
		f, err := c.rollSmall(ctx, s.binary, proxy, job{ns: ns, image: c.images[1], contest: contest{strategy: fmt.Sprintf("service-%d", i)}})
		if err != nil {
			return err
		}
		took, requests, memory = append(took, f.rollout), append(requests, time.Duration(f.requests)), append(memory, time.Duration(f.memory))
	}
	tenth := workloads / 10
	fmt.Fprintf(out, "\n%d workloads of one pod, one after another, the last %d to the first:\n", workloads, tenth)
	for _, figure := range []struct {
		what string
		of   sample
	}{{"time", took}, {"requests to the API", requests}, {"memory", memory}} {
		first, last := figure.of[:tenth], figure.of[workloads-tenth:]
		fmt.Fprintf(out, "  %s %s; %s\n", figure.what, ratio(last, first), atMost(last, first, grown))
	}
	return nil
}

// small makes a workload of one pod.
func (c *cluster) small(ctx context.Context, root, ns, name string) error {
	b, err := os.ReadFile(filepath.Join(root, "examples/ecommerce/deploy/deployment.yaml"))
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	text := filled(string(b), "namespace: ecommerce", "namespace: "+ns, "name: user-service", "name: "+name, "app: user-service", "app: "+name,
		"localhost:5000/ecommerce/user-service:latest", c.images[0], "replicas: 3", "replicas: 1")
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		return err
	}
	_, err = c.api.Resource(deployments).Namespace(ns).Create(ctx, u, metav1.CreateOptions{})
	return err
}

func (c *cluster) rollSmall(ctx context.Context, binary string, proxy *counter, j job) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	path := filepath.Join(c.dir, j.strategy+".yaml")
	if err := os.WriteFile(path, []byte(filled(manyPipeline, "NAMESPACE", j.ns, "NAME", j.strategy)), 0o644); err != nil {
		return figures{}, err
	}
	before := proxy.requests.Load()
	cmd := exec.CommandContext(ctx, binary, "run", path, "--var", "image="+j.image, "-q")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+proxy.kubeconfig)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	f := figures{rollout: time.Since(began), requests: int(proxy.requests.Load() - before)}
	if err != nil {
		return f, fmt.Errorf("headgate run: %w\n%s", err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.memory = usage.Maxrss << 10
	}
	return f, nil
}
