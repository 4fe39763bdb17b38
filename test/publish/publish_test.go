// Package publish proves that what a release publishes can be installed and
// imported: the tags vX.Y.Z and flags/vX.Y.Z, and nothing else of this
// repository.
package publish_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

const main = "github.com/headgate-dev/headgate"

// outside is a place without this repository: a folder with a module cache of
// its own, which gets our modules from the proxy p.
type outside struct {
	dir string
	env []string
}

func newOutside(t *testing.T, p proxy) outside {
	t.Helper()
	o := outside{dir: t.TempDir()}
	here := goEnv(t, "GOMODCACHE", "GOPROXY")
	o.env = append(os.Environ(),
		"GOWORK=off", "GOFLAGS=-mod=mod -modcacherw -trimpath", "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GO111MODULE=on",
		// What the machine has already need not be fetched again; what it has
		// was checked when it was fetched.
		"GOPROXY=file://"+p.dir+",file://"+filepath.ToSlash(here[0])+"/cache/download,"+here[1],
		"GOSUMDB=off", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=",
		"GOMODCACHE="+filepath.Join(o.dir, "modules"), "GOBIN="+filepath.Join(o.dir, "bin"),
		"PWD="+o.dir)
	return o
}

// run runs the go command there.
func (o outside) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = o.dir, o.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func (o outside) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}

// service is a program of somebody who has feature flags.
const service = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/headgate-dev/headgate/flags"
)

func main() {
	c, err := flags.Open(context.Background(), os.Getenv("REDIS_URL"), flags.Options{})
	fmt.Println(c, err)
}
`

// modules lists the modules that the packages named need, the service's own
// left out.
func (o outside) modules(t *testing.T, packages ...string) []string {
	t.Helper()
	out := o.run(t, append([]string{"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}, packages...)...)
	all := strings.Fields(out)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestServiceGetsFlagsWithRedisAndNothingElse(t *testing.T) {
	p, version := newProxy(t)
	o := newOutside(t, p)
	o.write(t, "go.mod", "module example.com/service\n\ngo 1.26\n")
	o.write(t, "main.go", service)
	o.run(t, "get", main+"/flags@"+version)
	o.run(t, "mod", "tidy")
	o.run(t, "build", "-o", filepath.Join(o.dir, "service"), ".")

	want := append(o.modules(t, "github.com/redis/go-redis/v9"), main+"/flags")
	slices.Sort(want)
	if got := o.modules(t, "."); !slices.Equal(got, want) {
		t.Errorf("a service that imports flags is built from\n%q, want\n%q", got, want)
	}
	b, err := os.ReadFile(filepath.Join(o.dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range parse(t, b).Require {
		if !slices.Contains(want, r.Mod.Path) {
			t.Errorf("the service's go.mod requires %s as well", r.Mod.Path)
		}
	}
}

// TestModulesAgree covers what makes `go install` refuse a module, and what
// makes this work tree differ from what is published.
func TestModulesAgree(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, dir := range []string{root, filepath.Join(root, "flags")} {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		f := parse(t, b)
		if len(f.Replace)+len(f.Exclude) > 0 {
			t.Errorf("go.mod of %s has replace or exclude directives, with which go install refuses it", f.Module.Mod.Path)
		}
	}
	b, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	work, err := modfile.ParseWork("go.work", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	version := requiredVersion(t, root)
	if !slices.ContainsFunc(work.Replace, func(r *modfile.Replace) bool {
		return r.Old.Path == main+"/flags" && r.Old.Version == version && r.New.Path == "./flags"
	}) {
		t.Errorf("go.mod requires flags %s, and go.work does not replace that version by ./flags", version)
	}
}

// requiredVersion is the one of flags that the main module requires.
func requiredVersion(t *testing.T, root string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range parse(t, b).Require {
		if r.Mod.Path == main+"/flags" {
			return r.Mod.Version
		}
	}
	t.Fatal("go.mod does not require flags")
	return ""
}

func parse(t *testing.T, b []byte) *modfile.File {
	t.Helper()
	f, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
