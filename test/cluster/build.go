package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A source is a Go module of this folder whose programs the cluster needs.
// Each module of parts/ has requirements of its own, so that those of
// Kubernetes and Traefik do not have to agree.
type source struct {
	name     string
	dir      string   // below the source folder
	packages []string // what is built
	ldflags  string
	onDemand bool     // not needed by up
	cold     string   // how long the first build takes
	inputs   []string // patterns of files, beside go.mod and go.sum, that decide what is built
}

const (
	kubernetesVersion = "v1.36.3"
	gatewayModule     = "sigs.k8s.io/gateway-api"
)

// sources are in the order in which they are built.
func sources() []source {
	version := "k8s.io/component-base/version."
	return []source{
		{name: "own", dir: ".", packages: []string{"./pause", "./discovery"}, inputs: []string{"pause/*.go", "discovery/*.go", "kubeapi/*.go"}, cold: "seconds"},
		{name: "crane", dir: "parts/crane", packages: []string{"github.com/google/go-containerregistry/cmd/crane"}, cold: "half a minute"},
		{
			name: "kubernetes",
			dir:  "parts/kubernetes",
			packages: []string{
				"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager",
				"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kube-proxy",
			},
			// Kubernetes takes its version from the linker, and tells it to clients.
			ldflags: "-X " + version + "gitVersion=" + kubernetesVersion + " -X " + version + "gitMajor=1 -X " + version + "gitMinor=36",
			cold:    "about six minutes",
		},
		// Apart from the rest, whose linking takes a while, and after it, when all but itself is compiled.
		{name: "removepods", dir: "parts/kubernetes", packages: []string{"./removepods"}, inputs: []string{"removepods/*.go"}, cold: "seconds"},
		{name: "kubectl", dir: "parts/kubectl", packages: []string{"k8s.io/kubernetes/cmd/kubectl"}, cold: "a minute"},
		{name: "coredns", dir: "parts/coredns", packages: []string{"github.com/coredns/coredns"}, cold: "about three minutes"},
		{name: "traefik", dir: "parts/traefik", packages: []string{"github.com/traefik/traefik/v3/cmd/traefik"}, cold: "about five minutes"},
		{name: "argorollouts", dir: "parts/argorollouts", packages: []string{"github.com/argoproj/argo-rollouts/cmd/rollouts-controller"}, onDemand: true, cold: "about three minutes"},
	}
}

// build builds the sources named, or those that up needs, and says where their
// programs are.
func (c *cluster) build(ctx context.Context, names []string) error {
	all := sources()
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, "-", "")
		if !slices.ContainsFunc(all, func(s source) bool { return s.name == names[i] }) {
			return fmt.Errorf("build %s: no such part", name)
		}
	}
	for _, s := range all {
		if len(names) == 0 && s.onDemand || len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		bin, err := c.buildSource(ctx, s)
		if err != nil {
			return err
		}
		c.say("%s is in %s", s.name, bin)
	}
	return nil
}

// buildAll builds what up needs and returns each program's path by its name.
// It also removes former builds, so no cluster may run.
func (c *cluster) buildAll(ctx context.Context) (map[string]string, error) {
	programs := map[string]string{}
	for _, s := range sources() {
		if s.onDemand {
			continue
		}
		bin, err := c.buildSource(ctx, s)
		if err != nil {
			return nil, err
		}
		if err := c.prune(s, filepath.Dir(bin)); err != nil {
			return nil, err
		}
		for _, p := range s.packages {
			programs[path.Base(p)] = filepath.Join(bin, path.Base(p))
		}
	}
	return programs, nil
}

// buildSource returns the folder with the source's programs, and builds them
// if this very source was not built before.
func (c *cluster) buildSource(ctx context.Context, s source) (string, error) {
	key, err := c.buildKey(ctx, s)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(c.cache, s.name+"-"+key, "bin")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	c.say("building %s, once (%s on two cores if Go has built none of it before)", s.name, s.cold)
	began := time.Now()
	// Built aside and renamed when whole: the folder is there only if all is in it.
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", s.name, err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(bin), "building-")
	if err != nil {
		return "", fmt.Errorf("build %s: %w", s.name, err)
	}
	defer os.RemoveAll(aside)
	args := []string{"build", "-trimpath", "-ldflags", "-s -w " + s.ldflags, "-o", aside + "/"}
	if _, err := c.goTool(ctx, s.dir, append(args, s.packages...)...); err != nil {
		return "", fmt.Errorf("build %s: %w", s.name, err)
	}
	if err := os.Chmod(aside, 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", s.name, err)
	}
	if err := os.Rename(aside, bin); err != nil {
		return "", fmt.Errorf("build %s: %w", s.name, err)
	}
	c.say("built %s in %s", s.name, time.Since(began).Round(time.Second))
	return bin, nil
}

// prune removes all builds of a source but one. Each of Kubernetes' takes
// hundreds of megabytes, and Go's own cache makes an old one again in seconds.
func (c *cluster) prune(s source, keep string) error {
	builds, err := filepath.Glob(filepath.Join(c.cache, s.name+"-*"))
	if err != nil {
		return fmt.Errorf("remove old builds: %w", err)
	}
	for _, build := range builds {
		if build == keep {
			continue
		}
		if err := os.RemoveAll(build); err != nil {
			return fmt.Errorf("remove old builds: %w", err)
		}
	}
	return nil
}

// buildKey changes with everything that decides what comes out of a build.
func (c *cluster) buildKey(ctx context.Context, s source) (string, error) {
	goVersion, err := c.goTool(ctx, s.dir, "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", fmt.Errorf("find Go's version: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, string(goVersion), s.ldflags, s.packages)
	for _, pattern := range append([]string{"go.mod", "go.sum"}, s.inputs...) {
		files, err := filepath.Glob(filepath.Join(c.source, s.dir, pattern))
		if err != nil {
			return "", fmt.Errorf("find source of %s: %w", s.name, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("read source of %s: %w", s.name, err)
			}
			fmt.Fprintln(sum, filepath.Base(file), len(content))
			sum.Write(content)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// gatewayCRDs returns the files with the Gateway API's resource definitions,
// which its Go module carries.
func (c *cluster) gatewayCRDs(ctx context.Context) ([]string, error) {
	out, err := c.goTool(ctx, "parts/gatewayapi", "mod", "download", "-json", gatewayModule)
	if err != nil {
		return nil, fmt.Errorf("fetch Gateway API: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return nil, fmt.Errorf("fetch Gateway API: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "config", "crd", "standard", gatewayGroup+"_*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("fetch Gateway API: no resource definitions in %s", module.Dir)
	}
	return files, nil
}

// goTool runs the go command in a module below the source folder, away from
// the settings and the workspace of whoever runs this program.
func (c *cluster) goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(c.source, dir)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, lastLines(stderr.String(), 15))
	}
	return stdout.Bytes(), nil
}
