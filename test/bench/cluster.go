package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// limit bounds every single wait.
const limit = 2 * time.Minute

// cluster holds the services that are rolled out, each in a namespace of its
// own.
type cluster struct {
	api    dynamic.Interface
	dir    string
	images []string // two releases of the same program
	ns     map[string]string
}

// The namespaces of the services, by what rolls them out.
const (
	byDeployment = "deployment"
	byHeadgate   = "headgate"
)

var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	podList     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	routes      = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
)

// connect makes images and services.
func connect(ctx context.Context, s settings, dir string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	c := &cluster{dir: dir, ns: map[string]string{}}
	if c.api, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.images, err = pushImages(ctx, s.root, dir); err != nil {
		return nil, err
	}
	for _, kind := range []string{byDeployment, byHeadgate} {
		if err := c.serve(ctx, s.root, kind); err != nil {
			c.close()
			return nil, fmt.Errorf("start the service: %w", err)
		}
	}
	return c, nil
}

// close removes the namespaces and what is in them.
func (c *cluster) close() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, ns := range c.ns {
		_ = c.api.Resource(namespaces).Delete(ctx, ns, metav1.DeleteOptions{})
	}
}

// serve starts the example service in a namespace.
func (c *cluster) serve(ctx context.Context, root, kind string) error {
	ns := fmt.Sprintf("bench-%s-%d", kind, time.Now().UnixMilli()%1_000_000)
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("Namespace")
	u.SetName(ns)
	if _, err := c.api.Resource(namespaces).Create(ctx, u, metav1.CreateOptions{}); err != nil {
		return err
	}
	c.ns[kind] = ns
	for _, part := range []struct {
		file string
		gvr  schema.GroupVersionResource
	}{{"service.yaml", services}, {"deployment.yaml", deployments}, {"route.yaml", routes}} {
		b, err := os.ReadFile(filepath.Join(root, "examples/ecommerce/deploy", part.file))
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{}
		text := filled(string(b), "namespace: ecommerce", "namespace: "+ns, "shop.localhost", ns+".localhost",
			"localhost:5000/ecommerce/user-service:latest", c.images[0], "replicas: 3", fmt.Sprintf("replicas: %d", pods))
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			return err
		}
		if _, err := c.api.Resource(part.gvr).Namespace(ns).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return c.awaitUpdated(ctx, ns)
}

// plain makes a rolling update and measures from the write until Kubernetes
// says that it is complete.
func (c *cluster) plain(ctx context.Context, image string) (time.Duration, error) {
	ns := c.ns[byDeployment]
	if err := c.calm(ctx, ns); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := c.setImage(ctx, ns, image); err != nil {
		return 0, err
	}
	err := c.awaitUpdated(ctx, ns)
	return time.Since(began), err
}

func (c *cluster) setImage(ctx context.Context, ns, image string) error {
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}})
	if err != nil {
		return err
	}
	_, err = c.api.Resource(deployments).Namespace(ns).Patch(ctx, "user-service", types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}

// canary runs headgate and measures its process.
func (c *cluster) canary(ctx context.Context, binary, image string) (time.Duration, []event, error) {
	ns := c.ns[byHeadgate]
	if err := c.calm(ctx, ns); err != nil {
		return 0, nil, err
	}
	path, err := pipelineFile(c.dir, ns)
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "run", path, "--var", "image="+image, "--report", "json=-")
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		return 0, nil, fmt.Errorf("headgate run: %w\n%s", err, out)
	}
	events := []event{{Time: began, Type: "started"}}
	for line := range strings.SplitSeq(string(out), "\n") {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			events = append(events, e)
		}
	}
	return took, events, c.awaitUpdated(ctx, ns)
}

// updated reports whether a Deployment is all that it shall be.
func updated(u unstructured.Unstructured) bool {
	status := func(field string) int64 {
		n, _, _ := unstructured.NestedInt64(u.Object, "status", field)
		return n
	}
	return status("observedGeneration") >= u.GetGeneration() && status("updatedReplicas") == pods &&
		status("replicas") == pods && status("availableReplicas") == pods
}

// awaitUpdated watches the Deployment until it is all that it shall be.
func (c *cluster) awaitUpdated(ctx context.Context, ns string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in := c.api.Resource(deployments).Namespace(ns)
	for ctx.Err() == nil {
		// From a list on: without a version the server may wait for the next
		// change of any Deployment before it tells what there is.
		opts := metav1.ListOptions{FieldSelector: "metadata.name=user-service"}
		list, err := in.List(ctx, opts)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(list.Items, updated) {
			return nil
		}
		opts.ResourceVersion = list.GetResourceVersion()
		w, err := in.Watch(ctx, opts)
		if err != nil {
			return err
		}
		for e := range w.ResultChan() {
			if u, is := e.Object.(*unstructured.Unstructured); is && updated(*u) {
				w.Stop()
				return nil
			}
		}
	}
	return fmt.Errorf("wait for the Deployment in %s: %w", ns, ctx.Err())
}

// calm waits until no pod of an earlier rollout is left.
func (c *cluster) calm(ctx context.Context, ns string) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		list, err := c.api.Resource(podList).Namespace(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) == pods {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	select {
	case <-time.After(time.Second): // Controllers write what they have learned.
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// filled replaces pairs of old and new.
func filled(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }
