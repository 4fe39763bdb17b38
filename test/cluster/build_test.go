package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBuildKeyFollowsTheSource(t *testing.T) {
	c := testCluster(t)
	c.source = t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.source, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := source{name: "a", dir: ".", packages: []string{"./a"}, inputs: []string{"*.go"}}
	key := func() string {
		t.Helper()
		key, err := c.buildKey(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	write("go.mod", "module a\n")
	write("main.go", "package main\n")
	first := key()
	if again := key(); again != first {
		t.Errorf("nothing changed: got key %s, want %s", again, first)
	}
	write("README.md", "A\n")
	if again := key(); again != first {
		t.Errorf("a file changed that is not built: got key %s, want %s", again, first)
	}
	seen := map[string]string{first: "nothing"}
	for _, change := range []struct{ file, content string }{
		{"main.go", "package main // B\n"}, {"go.mod", "module b\n"}, {"go.sum", "c\n"},
	} {
		write(change.file, change.content)
		now := key()
		if before, same := seen[now]; same {
			t.Errorf("%s changed: got the key of when %s had, want another", change.file, before)
		}
		seen[now] = change.file
	}
}

func TestPruneKeepsOneBuildAndOtherSources(t *testing.T) {
	c := testCluster(t)
	for _, dir := range []string{"crane-1", "crane-2", "coredns-1"} {
		if err := os.MkdirAll(filepath.Join(c.cache, dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.prune(source{name: "crane"}, filepath.Join(c.cache, "crane-2")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{"crane-1": false, "crane-2": true, "coredns-1": true} {
		if _, err := os.Stat(filepath.Join(c.cache, dir)); (err == nil) != want {
			t.Errorf("%s: got there %t, want %t", dir, err == nil, want)
		}
	}
}

func TestSourcesExist(t *testing.T) {
	for _, s := range sources() {
		for _, name := range append([]string{"go.mod"}, s.inputs...) {
			if files, err := filepath.Glob(filepath.Join(s.dir, name)); err != nil || len(files) == 0 {
				t.Errorf("%s: got no file %s, want one", s.name, name)
			}
		}
	}
}
