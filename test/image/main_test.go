//go:build e2e

package image_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// suite is the release of Debian that the Dockerfile's bases are of.
const suite = "trixie"

// images are how many a store may hold before it is made anew: layers that a
// change of the source has left behind are not told from those still of use.
const images = 80

// shared is what all tests look at, built once.
var shared struct {
	store      store
	small, big string // names of the images
	why        string // why there is nothing to look at, "" when there is
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if shared.why = unable(); shared.why != "" {
		return m.Run(), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 1, err
	}
	s := store{dir: filepath.Join(cache, "headgate-test-image")}
	if err := s.prepare(); err != nil {
		return 1, err
	}
	shared.store, shared.small = s, "localhost/headgate-test:1"
	shared.big = shared.small + "-ci"
	if err := s.build(shared.small); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// unable says why no image can be built here.
func unable() string {
	if os.Geteuid() != 0 {
		return "building images from Debian's packages needs root"
	}
	for _, program := range []string{"buildah", "mmdebstrap", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			return "building images needs " + program
		}
	}
	return ""
}

func need(t *testing.T) {
	t.Helper()
	if shared.why != "" {
		t.Skip(shared.why)
	}
}

// store is where buildah keeps the images of these tests, apart from those of
// whoever runs them.
type store struct{ dir string }

func (s store) root() []string {
	return []string{"--root", filepath.Join(s.dir, "images"), "--runroot", filepath.Join(s.dir, "run")}
}

// buildah runs buildah on the store and returns what it prints.
func (s store) buildah(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "buildah", append(s.root(), args...)...)
}

// output runs a program for ten minutes at most.
func output(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join("..", "..")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// prepare makes the two base images: a minimal Debian, and the same with the
// paths of the image golang, into which the Go of this machine is mounted.
func (s store) prepare() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	ctx := context.Background()
	if err := s.empty(ctx); err != nil {
		return err
	}
	if _, err := s.buildah(ctx, "inspect", "--type", "image", "localhost/builder"); err == nil {
		return nil
	}
	archive := filepath.Join(s.dir, suite+".tar")
	if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
		part := archive + ".part"
		if _, err := output(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "--include=ca-certificates", suite, part); err != nil {
			return err
		}
		if err := os.Rename(part, archive); err != nil {
			return err
		}
	}
	return s.commitBases(ctx, archive)
}

func (s store) commitBases(ctx context.Context, archive string) error {
	container, err := s.buildah(ctx, "from", "scratch")
	if err != nil {
		return err
	}
	const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, args := range [][]string{
		{"add", "--quiet", container, archive, "/"},
		{"config", "--env", "PATH=" + path, "--cmd", "bash", container},
		{"commit", "--quiet", container, "localhost/debian"},
		{"config", "--env", "PATH=/usr/local/go/bin:" + path, "--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local", container},
		{"commit", "--quiet", "--rm", container, "localhost/builder"},
	} {
		if _, err := s.buildah(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// empty throws a store away that has grown.
func (s store) empty(ctx context.Context) error {
	text, err := s.buildah(ctx, "images", "--all", "--json")
	if err != nil {
		return err
	}
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return fmt.Errorf("read images: %w", err)
	}
	if len(all) <= images {
		return nil
	}
	_, err = s.buildah(ctx, "rmi", "--all", "--force")
	return err
}

// build makes both images as users do, but for the bases.
func (s store) build(name string) error {
	text, err := output(context.Background(), "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE")
	if err != nil {
		return err
	}
	folders := strings.Split(text, "\n")
	flags := []string{
		"--isolation", "chroot", "--layers", "--quiet",
		"--build-arg", "BUILDER=localhost/builder", "--build-arg", "CI_BASE=localhost/debian",
		"--volume", folders[0] + ":/usr/local/go:ro", "--volume", folders[1] + ":/go/pkg/mod", "--volume", folders[2] + ":/root/.cache/go-build",
	}
	_, err = output(context.Background(), "make", "image", "image-ci", "IMAGE="+name, "VERSION=v1.2.3",
		"BUILDER=buildah "+strings.Join(s.root(), " "), "IMAGE_FLAGS="+strings.Join(flags, " "))
	return err
}

// container makes a container of an image for the length of a test.
func container(t *testing.T, image string) string {
	t.Helper()
	need(t)
	id, err := shared.store.buildah(t.Context(), "from", image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := shared.store.buildah(context.Background(), "rm", id); err != nil {
			t.Error(err)
		}
	})
	return id
}
