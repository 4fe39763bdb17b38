//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/headgate-dev/headgate/test/story"
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
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
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
func releases() map[string]map[string]string {
	all := map[string]map[string]string{
		story.Old: {},
		"badflag": {"FAIL_RATE": "0.5", "FAIL_FLAG": "e2e_bad_profile"},
		// Those that end gracefully; the others break off what they are at.
		"old-graceful": {"GRACEFUL": "true"}, "good-graceful": {"GRACEFUL": "true"},
		"dies": {"DIE_AFTER": "60"},
	}
	for _, s := range story.Stories() {
		if !s.Missing {
			all[s.Release] = s.Faults
		}
	}
	return all
}

// buildImages makes the example service's images, one for each release, as
// its Dockerfile says. That `build` stages build them too is shown by their
// own tests and by the demo.
func (w *world) buildImages(dir string) error {
	binary := filepath.Join(dir, "user-service")
	if err := w.command(w.root, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./examples/ecommerce/user-service"); err != nil {
		return err
	}
	layer, err := binaryLayer(binary)
	if err != nil {
		return err
	}
	w.images = map[string]string{}
	for name, faults := range releases() {
		if w.images[name], err = w.pushImage(name, faults, layer); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
	}
	return nil
}

func binaryLayer(path string) (v1.Layer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	if err := archive.WriteHeader(&tar.Header{Name: "user-service", Mode: 0o755, Size: int64(len(b))}); err != nil {
		return nil, err
	}
	if _, err := archive.Write(b); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
}

func (w *world) pushImage(name string, faults map[string]string, layer v1.Layer) (string, error) {
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return "", err
	}
	config := v1.Config{Entrypoint: []string{"/user-service"}, User: "65532:65532", Env: []string{"VERSION=" + name}}
	for k, v := range faults {
		config.Env = append(config.Env, k+"="+v)
	}
	slices.Sort(config.Env)
	if image, err = mutate.ConfigFile(image, &v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", Config: config, RootFS: rootFS(image)}); err != nil {
		return "", err
	}
	repository := w.registry + "/e2e/user-service"
	tag, err := reference.NewTag(repository+":"+name, reference.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, image); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return repository + "@" + digest.String(), err
}

func rootFS(image v1.Image) v1.RootFS {
	config, err := image.ConfigFile()
	if err != nil {
		return v1.RootFS{}
	}
	return config.RootFS
}
