//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// world is what all tests share.
type world struct {
	headgate   string // path of the binary
	root       string // of the repository
	gateway    string
	prometheus string
	redis      string
	registry   string
	client     dynamic.Interface
	mapper     meta.ResettableRESTMapper
	images     map[string]string // by name, by digest
}

var shared world

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "headgate-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := shared.find(dir); err != nil {
		return 1, err
	}
	if err := shared.connect(); err != nil {
		return 1, err
	}
	if err := shared.buildImages(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func (w *world) find(dir string) error {
	w.gateway, w.prometheus = os.Getenv("HEADGATE_TEST_GATEWAY"), os.Getenv("HEADGATE_TEST_PROMETHEUS")
	w.redis, w.registry = os.Getenv("HEADGATE_TEST_REDIS"), os.Getenv("HEADGATE_TEST_REGISTRY")
	for name, value := range map[string]string{
		"KUBECONFIG": os.Getenv("KUBECONFIG"), "HEADGATE_TEST_GATEWAY": w.gateway, "HEADGATE_TEST_PROMETHEUS": w.prometheus,
		"HEADGATE_TEST_REDIS": w.redis, "HEADGATE_TEST_REGISTRY": w.registry,
	} {
		if value == "" {
			return fmt.Errorf(`%s is not set: start a cluster and say where it is, eval "$(go run ./test/cluster env)"`, name)
		}
	}
	var err error
	if w.root, err = filepath.Abs("../.."); err != nil {
		return err
	}
	w.headgate = filepath.Join(dir, "headgate")
	return w.command(w.root, "go", "build", "-o", w.headgate, "./cmd/headgate")
}

func (w *world) command(dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "BUILDAH_ISOLATION=chroot")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (w *world) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	if w.client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	w.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))
	return nil
}

// releases are the images of the tests by name, with what makes them bad.
var releases = map[string]map[string]string{
	"old":     {},
	"good":    {},
	"errors":  {"FAIL_RATE": "0.2"},
	"slow":    {"SLOW": "1500ms"},
	"later":   {"FAIL_RATE": "0.2", "FAIL_FLAG": "e2e_later"},
	"badflag": {"FAIL_RATE": "0.5", "FAIL_FLAG": "e2e_bad_profile"},
	"unready": {"NEVER_READY": "true"},
	"crash":   {"CRASH": "true"},
}

// buildImages builds the example service once for each release.
func (w *world) buildImages(dir string) error {
	source := filepath.Join(w.root, "examples/ecommerce/user-service")
	if err := w.command(w.root, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "image/bin/user-service"), "./examples/ecommerce/user-service"); err != nil {
		return err
	}
	file, err := os.ReadFile(filepath.Join(source, "Dockerfile"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "image/Dockerfile"), file, 0o600); err != nil {
		return err
	}
	w.images = map[string]string{}
	for name, args := range releases {
		ref := w.registry + "/e2e/user-service:" + name
		build := []string{"buildah", "bud", "-q", "--build-arg", "VERSION=" + name, "-t", ref}
		for k, v := range args {
			build = append(build, "--build-arg", k+"="+v)
		}
		if err := w.command(filepath.Join(dir, "image"), append(build, ".")...); err != nil {
			return err
		}
		digest := filepath.Join(dir, name+".digest")
		if err := w.command(dir, "buildah", "push", "-q", "--tls-verify=false", "--digestfile", digest, ref); err != nil {
			return err
		}
		b, err := os.ReadFile(digest)
		if err != nil {
			return err
		}
		w.images[name] = w.registry + "/e2e/user-service@" + strings.TrimSpace(string(b))
	}
	return nil
}
