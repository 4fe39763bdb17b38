package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The addresses of the cluster. None is the usual one of a Debian service, so
// that an etcd, Redis or Prometheus of the machine's own is not in the way.
const (
	bridge      = "hgtest0"
	nodeIP      = "10.244.0.1"
	podCIDR     = "10.244.0.0/24"
	clusterCIDR = "10.244.0.0/16"
	serviceCIDR = "10.96.0.0/16"
	apiService  = "10.96.0.1"
	domain      = "cluster.local"
	nodeName    = "node1"

	apiAddress            = "127.0.0.1:6443"
	etcdAddress           = "127.0.0.1:23790"
	etcdPeerAddress       = "127.0.0.1:23800"
	controllersAddress    = "127.0.0.1:10257"
	schedulerAddress      = "127.0.0.1:10259"
	kubeletAddress        = nodeIP + ":10250"
	kubeletHealthAddress  = "127.0.0.1:10248"
	proxyHealthAddress    = "127.0.0.1:10256"
	proxyMetricsAddress   = "127.0.0.1:10249"
	dnsAddress            = nodeIP + ":53"
	registryAddress       = "localhost:5000"
	gatewayAddress        = "127.0.0.1:8000"
	gatewayPort           = "8000"
	traefikMetricsAddress = "127.0.0.1:8002"
	prometheusAddress     = "127.0.0.1:19090"
	redisAddress          = "127.0.0.1:6380"
	redisPort             = "6380"
	argoHealthPort        = "10280"
	argoMetricsPort       = "10290"

	pauseImage = "localhost/headgate-test/pause:1"
	cniBin     = "/usr/lib/cni"
)

// cluster is the one cluster of this machine: where its files are and where
// to tell the person at the terminal what is going on.
type cluster struct {
	source string // this program's folder, with parts below it
	cache  string // what was built, kept from run to run
	state  string // everything else, removed by down
	out    io.Writer
	began  time.Time
}

func newCluster(out io.Writer) (*cluster, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("start cluster: needs Linux, and this is %s; on other systems point KUBECONFIG at a cluster made with kind or k3d", runtime.GOOS)
	}
	source, err := sourceFolder()
	if err != nil {
		return nil, err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache folder: %w", err)
	}
	c := &cluster{
		source: source,
		cache:  filepath.Join(caches, "headgate-test-cluster"),
		state:  os.Getenv("HEADGATE_TEST_CLUSTER_STATE"),
		out:    out,
		began:  time.Now(),
	}
	if c.state == "" {
		c.state = filepath.Join(c.cache, "state")
	}
	if c.state, err = filepath.Abs(c.state); err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	// A Unix socket's path has 107 bytes, and configuration files quote this one.
	if len(c.socket()) > 100 || strings.ContainsAny(c.state, " \"'\\\n") {
		return nil, fmt.Errorf("use state folder %q: too long or with characters that need quoting", c.state)
	}
	return c, nil
}

// sourceFolder finds this program's folder from where it is run: the
// repository's root, the folder itself or anywhere between.
func sourceFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find source folder: %w", err)
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "test", "cluster")} {
			if _, err := os.Stat(filepath.Join(candidate, "parts", "kubernetes", "go.mod")); err == nil {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find source folder: run this inside the repository")
		}
		dir = filepath.Dir(dir)
	}
}

func (c *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.state}, elem...)...)
}

func (c *cluster) socket() string     { return c.path("containerd.sock") }
func (c *cluster) kubeconfig() string { return c.path("kubeconfig") }

// targets is the file that tells Prometheus of the pods.
func (c *cluster) targets() string { return c.path("prometheus", "pods.json") }

// say tells what has been reached, with the time since the command began.
func (c *cluster) say(format string, args ...any) {
	fmt.Fprintf(c.out, "%6.1fs  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// env prints what a shell needs to use the cluster.
func (c *cluster) env(w io.Writer) error {
	password, err := os.ReadFile(c.path("pki", "redis-password"))
	if err != nil {
		return fmt.Errorf("print environment: the cluster is not up: %w", err)
	}
	programs, err := c.programs()
	if err != nil {
		return fmt.Errorf("print environment: %w", err)
	}
	_, err = fmt.Fprintf(w, `export KUBECONFIG=%s
export HEADGATE_TEST_PROMETHEUS=http://%s
export HEADGATE_TEST_REDIS=redis://:%s@%s/0
export HEADGATE_TEST_REGISTRY=%s
export HEADGATE_TEST_GATEWAY=http://%s
export HEADGATE_TEST_CLUSTER=%s
export HEADGATE_TEST_KUBECTL=%s
`, c.kubeconfig(), prometheusAddress, password, redisAddress, registryAddress, gatewayAddress, c.path(), programs["kubectl"])
	return err
}
