package publish_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// proxy is a folder that answers like a module proxy.
type proxy struct{ dir string }

// newProxy publishes both modules of the repository, as they are in the work
// tree, under the version that the main module requires of flags.
func newProxy(t *testing.T) (p proxy, version string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p = proxy{dir: t.TempDir()}
	version = requiredVersion(t, root)
	p.publish(t, root, module.Version{Path: main, Version: version})
	p.publish(t, filepath.Join(root, "flags"), module.Version{Path: main + "/flags", Version: version})
	return p, version
}

// publish packs the module in dir as a proxy would: what lies in a nested
// module is left out.
func (p proxy) publish(t *testing.T, dir string, m module.Version) {
	t.Helper()
	at := filepath.Join(p.dir, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": m.Version + "\n", m.Version + ".mod": string(gomod),
		m.Version + ".info": fmt.Sprintf("{\"Version\":%q}\n", m.Version),
	} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := os.Create(filepath.Join(at, m.Version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := zip.Create(out, m, tracked(t, dir)); err != nil {
		t.Fatalf("pack %s: %v", m.Path, err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// tracked lists the files below dir that a commit of all there is would hold.
func tracked(t *testing.T, dir string) []zip.File {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("what belongs to the module is only known in a git work tree: %v", err)
	}
	var files []zip.File
	seen := map[string]bool{}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Lstat(path); seen[name] || err != nil || !info.Mode().IsRegular() {
			continue // Deleted, or a link, which no module holds.
		}
		seen[name] = true
		files = append(files, file{name, path})
	}
	return files
}

// file is a [zip.File] on disk.
type file struct{ name, path string }

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.path) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.path) }
