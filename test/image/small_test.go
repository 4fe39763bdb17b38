//go:build e2e

package image_test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// config is what an image says of itself.
type config struct {
	User       string
	Entrypoint []string
	Cmd        []string
	Env        []string
	Labels     map[string]string
}

func inspect(t *testing.T, image string) config {
	t.Helper()
	need(t)
	text, err := shared.store.buildah(t.Context(), "inspect", "--type", "image", image)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		OCIv1 struct{ Config config }
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return all.OCIv1.Config
}

func TestSmallImageSaysWhatItIs(t *testing.T) {
	c := inspect(t, shared.small)
	if c.User != "65532:65532" {
		t.Errorf("it runs as %q", c.User)
	}
	if diff := cmp.Diff([]string{"/usr/local/bin/headgate"}, c.Entrypoint); diff != "" {
		t.Error("entrypoint (-want +got):", diff)
	}
	wantLabels(t, c.Labels)
}

func wantLabels(t *testing.T, labels map[string]string) {
	t.Helper()
	for name, want := range map[string]string{
		"source": "https://github.com/headgate-dev/headgate", "licenses": "Apache-2.0", "version": "v1.2.3",
	} {
		if got := labels["org.opencontainers.image."+name]; got != want {
			t.Errorf("label %s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"title", "description", "url", "documentation", "vendor", "revision", "created"} {
		if labels["org.opencontainers.image."+name] == "" {
			t.Errorf("there is no label %s", name)
		}
	}
}

// mount shows the files of a container.
func mount(t *testing.T, id string) string {
	t.Helper()
	dir, err := shared.store.buildah(t.Context(), "mount", id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := shared.store.buildah(context.Background(), "umount", id); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// files lists what is no folder, with its size, by its path.
func files(t *testing.T, dir string) map[string]fs.FileInfo {
	t.Helper()
	found := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		found[strings.TrimPrefix(path, dir)] = info
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSmallImageHoldsABinaryAndCertificatesOnly(t *testing.T) {
	const binary, certificates = "/usr/local/bin/headgate", "/etc/ssl/certs/ca-certificates.crt"
	dir := mount(t, container(t, shared.small))
	var paths []string
	for path, info := range files(t, dir) {
		paths = append(paths, path)
		if special := info.Mode() & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSymlink | fs.ModeDevice); special != 0 {
			t.Errorf("%s is %s", path, info.Mode())
		}
		if size, bound := info.Size(), map[string]int64{binary: 75e6, certificates: 1e6}[path]; size > bound {
			t.Errorf("%s has %d bytes, more than %d", path, size, bound)
		}
		t.Logf("%s: %d bytes", path, info.Size())
	}
	slices.Sort(paths)
	if diff := cmp.Diff([]string{certificates, binary}, paths); diff != "" {
		t.Error("files (-want +got):", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fs.ModeDir | fs.ModeSticky | 0o777; info.Mode() != want {
		t.Errorf("/tmp is %s, want %s", info.Mode(), want)
	}
	wantStatic(t, filepath.Join(dir, binary))
}

func wantStatic(t *testing.T, path string) {
	t.Helper()
	program, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s has an interpreter: it is not static", path)
		}
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s needs %q, %v", path, libraries, err)
	}
}

// work is a folder that every user can write to, with a pipeline in it.
func work(t *testing.T, pipeline string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "headgate.yaml", "version: 1\nname: inside\n"+pipeline)
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// users are who CI runs a container as: nobody in particular.
var users = []string{"65532:65532", "12345:12345", "0:0"}

func TestSmallImageRunsAPipelineAsAnybody(t *testing.T) {
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			id := container(t, shared.small)
			dir := work(t, "stages: [{name: none, commit: {}}]\n")
			headgate := func(args ...string) string {
				t.Helper()
				// In chroot's isolation buildah sets no variable but the image's own.
				line := []string{"run", "--isolation", "chroot", "--user", user, "--workingdir", "/work", "--volume", dir + ":/work", id, "--", "/usr/local/bin/headgate"}
				out, err := shared.store.buildah(t.Context(), append(line, args...)...)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			if out := headgate("version"); !strings.HasPrefix(out, "headgate 1.2.3 (commit ") {
				t.Errorf("got %q", out)
			}
			headgate("validate")
			if out := headgate("run", "--journal", "file:/tmp/journal"); !strings.Contains(out, "delivered") {
				t.Errorf("got %q", out)
			}
		})
	}
}
