package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const byArgo = "argo"

// placing is a workload of a contest, and whose it is.
type placing struct {
	who string
	contest
}

// place starts the example service for one of the rivals, in a namespace of
// its own.
func (c *cluster) place(ctx context.Context, root string, p placing) (string, error) {
	ns := fmt.Sprintf("bench-%s-%s-%d", strings.ToLower(p.strategy), p.who, time.Now().UnixMilli()%1_000_000)
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("Namespace")
	u.SetName(ns)
	if _, err := c.api.Resource(namespaces).Create(ctx, u, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		b, err := os.ReadFile(filepath.Join(root, "examples/ecommerce/deploy", file))
		if err != nil {
			return ns, err
		}
		u := &unstructured.Unstructured{}
		text := filled(string(b), "namespace: ecommerce", "namespace: "+ns, "shop.localhost", ns+".localhost",
			"localhost:5000/ecommerce/user-service:latest", c.images[0], "replicas: 3", fmt.Sprintf("replicas: %d", p.pods))
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			return ns, err
		}
		gvr := map[string]schema.GroupVersionResource{"Service": services, "Deployment": deployments, "HTTPRoute": routes}[u.GetKind()]
		if u.GetKind() == "Deployment" {
			if gvr, err = p.fit(u); err != nil {
				return ns, err
			}
		}
		if p.who == byHeadgate && p.strategy == "blueGreen" && u.GetKind() == "Service" {
			if err := unstructured.SetNestedField(u.Object, "blue", "spec", "selector", "version"); err != nil {
				return ns, err
			}
		}
		if _, err := c.api.Resource(gvr).Namespace(ns).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			return ns, err
		}
	}
	return ns, c.still(ctx, ns, p.pods)
}

// fit makes a Deployment what the rival works on.
func (p placing) fit(u *unstructured.Unstructured) (schema.GroupVersionResource, error) {
	set := func(v any, path ...string) error { return unstructured.SetNestedField(u.Object, v, path...) }
	if p.who == byHeadgate {
		if p.strategy == "canary" {
			return deployments, nil
		}
		u.SetName("user-service-blue")
		return deployments, errors.Join(set("blue", "spec", "selector", "matchLabels", "version"), set("blue", "spec", "template", "metadata", "labels", "version"))
	}
	u.SetAPIVersion("argoproj.io/v1alpha1")
	u.SetKind("Rollout")
	if p.strategy == "blueGreen" {
		return rollouts, set(map[string]any{"activeService": "user-service", "scaleDownDelaySeconds": int64(3)}, "spec", "strategy", "blueGreen")
	}
	var steps []any
	for _, w := range []int64{20, 40, 60, 80} {
		steps = append(steps, map[string]any{"setWeight": w})
	}
	return rollouts, set(map[string]any{"steps": steps}, "spec", "strategy", "canary")
}

// blueGreenPipeline is the counterpart of pipeline.
const blueGreenPipeline = `version: 1
name: bench
vars: {image: ""}
kubernetes: {namespace: NAMESPACE}
stages:
  - name: rollout
    blueGreen:
      deployment: user-service
      image: "${{ vars.image }}"
      traffic: {service: user-service, drain: DRAIN, settle: DRAIN}
`

// rollHeadgate measures the process, through a proxy that counts its requests.
func (c *cluster) rollHeadgate(ctx context.Context, binary string, proxy *counter, j job) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.still(ctx, j.ns, j.pods); err != nil {
		return figures{}, err
	}
	text := pipeline
	if j.strategy == "blueGreen" {
		text = blueGreenPipeline
	}
	path := filepath.Join(c.dir, j.ns+".yaml")
	if err := os.WriteFile(path, []byte(filled(text, "NAMESPACE", j.ns, "DRAIN", drain.String())), 0o644); err != nil {
		return figures{}, err
	}
	seen, err := c.watchSwitch(ctx, j)
	if err != nil {
		return figures{}, err
	}
	before := proxy.requests.Load()
	cmd := exec.CommandContext(ctx, binary, "run", path, "--var", "image="+j.image, "-q")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+proxy.kubeconfig)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	f := figures{rollout: time.Since(began), requests: int(proxy.requests.Load() - before)}
	if err != nil {
		return figures{}, fmt.Errorf("headgate run: %w\n%s", err, out)
	}
	if f.change, err = seen(); err != nil {
		return figures{}, err
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.memory = usage.Maxrss << 10
	}
	return f, nil
}

// still waits until only the pods of the workload are left.
func (c *cluster) still(ctx context.Context, ns string, n int) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		list, err := c.api.Resource(podList).Namespace(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, p := range list.Items {
			if readyPod(&p) {
				ready++
			}
		}
		wait := 100 * time.Millisecond
		if len(list.Items) == n && ready == n {
			wait = time.Second // Controllers write what they have learned.
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait == time.Second {
			return nil
		}
	}
	return fmt.Errorf("%s has not come to rest with %d pods", ns, n)
}

func readyPod(u *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			return c["status"] == "True"
		}
	}
	return false
}

// watchSwitch follows a blue/green rollout from outside. What it returns tells
// how long after the last new pod's readiness the Service was switched.
func (c *cluster) watchSwitch(ctx context.Context, j job) (func() (time.Duration, error), error) {
	if j.strategy != "blueGreen" {
		return func() (time.Duration, error) { return 0, nil }, nil
	}
	old, err := c.api.Resource(services).Namespace(j.ns).Get(ctx, "user-service", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var lastReady, switched atomic.Int64
	go c.follow(ctx, services, j.ns, func(u *unstructured.Unstructured) {
		if u.GetName() == "user-service" && selector(u) != selector(old) {
			switched.CompareAndSwap(0, time.Now().UnixNano())
		}
	})
	known := map[string]bool{}
	go c.follow(ctx, podList, j.ns, func(u *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "containers")
		if len(containers) == 0 || containers[0].(map[string]any)["image"] != j.image || !readyPod(u) || known[u.GetName()] {
			return
		}
		known[u.GetName()] = true
		lastReady.Store(time.Now().UnixNano())
	})
	return func() (time.Duration, error) {
		cancel()
		if lastReady.Load() == 0 || switched.Load() == 0 {
			return 0, fmt.Errorf("the switch in %s was not seen", j.ns)
		}
		return time.Duration(switched.Load() - lastReady.Load()), nil
	}, nil
}

func selector(u *unstructured.Unstructured) string {
	m, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector")
	return fmt.Sprint(m)
}

func (c *cluster) follow(ctx context.Context, gvr schema.GroupVersionResource, ns string, saw func(u *unstructured.Unstructured)) {
	list, err := c.api.Resource(gvr).Namespace(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	w, err := c.api.Resource(gvr).Namespace(ns).Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if u, ok := e.Object.(*unstructured.Unstructured); ok && e.Type != watch.Deleted {
			saw(u)
		}
	}
}

// await watches objects until one is as it shall be.
func await(ctx context.Context, in dynamic.ResourceInterface, ok func(u unstructured.Unstructured) bool) error {
	for ctx.Err() == nil {
		list, err := in.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, u := range list.Items {
			if ok(u) {
				return nil
			}
		}
		w, err := in.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		if err != nil {
			return err
		}
		for e := range w.ResultChan() {
			if u, is := e.Object.(*unstructured.Unstructured); is && ok(*u) {
				w.Stop()
				return nil
			}
		}
	}
	return ctx.Err()
}

// counter is a way to the API server that counts requests.
type counter struct {
	requests   atomic.Int64
	kubeconfig string
	server     *http.Server
}

// counting starts one on this machine.
func (c *cluster) counting(dir string) (*counter, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &counter{kubeconfig: filepath.Join(dir, "counted.kubeconfig")}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	k.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.requests.Add(1)
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = k.server.Serve(listener) }() // ends with close
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: counted, cluster: {server: 'http://%s'}}]\ncontexts: [{name: counted, context: {cluster: counted}}]\ncurrent-context: counted\n", listener.Addr())
	return k, os.WriteFile(k.kubeconfig, []byte(text), 0o600)
}

func (k *counter) close() { _ = k.server.Close() }
