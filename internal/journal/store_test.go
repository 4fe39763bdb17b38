package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate-dev/headgate/internal/journal"
	"github.com/headgate-dev/headgate/internal/journal/journaltest"
	"github.com/headgate-dev/headgate/pipeline"
)

func TestMemory(t *testing.T) {
	journaltest.Suite{Bubble: true, New: func(*testing.T) journaltest.Place {
		m := new(journal.Memory)
		return journaltest.Place{Store: func() pipeline.Store { return m }, Break: m.Break}
	}}.Run(t)
}

func TestFile(t *testing.T) {
	journaltest.Suite{New: func(t *testing.T) journaltest.Place {
		dir := t.TempDir()
		path := filepath.Join(dir, "shop.jsonl")
		return journaltest.Place{
			Store: func() pipeline.Store { return fileStore(t, dir) },
			Break: func() { must(t, os.Remove(filepath.Join(dir, "shop.lock"))) },
			Tear:  func() { edit(t, path, func(b []byte) []byte { return append(b, journaltest.Torn()...) }) },
			Corrupt: func() {
				edit(t, path, func(b []byte) []byte { return bytes.Replace(b, []byte(`"name":"b"`), []byte(`"name":b`), 1) })
			},
		}
	}}.Run(t)
}

func TestFileNamesTheSpoiledLine(t *testing.T) {
	dir := t.TempDir()
	j, err := fileStore(t, dir).Open(t.Context(), pipeline.Info{ID: "1"})
	must(t, err)
	for _, name := range []string{"a", "b"} {
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: name}))
	}
	must(t, j.Close(t.Context(), 0))
	edit(t, filepath.Join(dir, "shop.jsonl"), func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte("<"), 2) })
	_, err = fileStore(t, dir).Peek(t.Context())
	corrupt, ok := errors.AsType[*journal.CorruptError](err)
	if !ok || corrupt.Line != 1 || !strings.HasSuffix(corrupt.Place, "shop.jsonl") {
		t.Errorf("got %v, want a CorruptError that names line 1", err)
	}
}

func TestFileTornAtEveryByteIsReadAsItsWholeEntries(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.jsonl")
	j, err := fileStore(t, dir).Open(t.Context(), pipeline.Info{ID: "1"})
	must(t, err)
	for _, name := range []string{"a", "b", "c"} {
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: name}))
	}
	must(t, j.Close(t.Context(), 0))
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range whole {
		must(t, os.WriteFile(path, whole[:n], 0o600))
		want := max(bytes.Count(whole[:n], []byte("\n"))-1, 0)
		j, err := fileStore(t, dir).Open(t.Context(), pipeline.Info{ID: "2"})
		if err != nil || len(j.Events()) != want {
			t.Fatalf("torn at byte %d: got %v, want %d events", n, err, want)
		}
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Finished}))
		must(t, j.Close(t.Context(), 0))
		if got, err := fileStore(t, dir).Peek(t.Context()); err != nil || len(got) != want+1 {
			t.Fatalf("torn at byte %d and appended to: got %d entries, %v, want %d", n, len(got), err, want+1)
		}
	}
}

func TestFileKeepsALimitedHistory(t *testing.T) {
	dir := t.TempDir()
	store := fileStore(t, dir)
	for range 25 {
		j, err := store.Open(t.Context(), pipeline.Info{ID: "1"})
		must(t, err)
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Finished}))
		must(t, j.Reset(t.Context()))
		must(t, j.Reset(t.Context())) // an empty one is not kept
		must(t, j.Close(t.Context(), 0))
	}
	all, err := store.History(t.Context())
	if err != nil || len(all) != 20 {
		t.Errorf("history: got %d journals, %v, want 20", len(all), err)
	}
}

func TestFileIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, err := fileStore(t, dir).Open(t.Context(), pipeline.Info{ID: "1"})
	must(t, err)
	defer j.Close(t.Context(), 0)
	for _, name := range []string{"", "shop.jsonl", "shop.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q has mode %v; what things were may hold secrets", name, info.Mode())
		}
	}
}

func TestFileRefusesNamesThatAreNotNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../a", ".hidden"} {
		if _, err := journal.NewFile(t.TempDir(), name); err == nil {
			t.Errorf("pipeline name %q was taken", name)
		}
	}
}

func TestMemoryHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(journal.Memory)
		j, err := m.Open(t.Context(), pipeline.Info{ID: "1"})
		must(t, err)
		for _, name := range []string{"a", "b"} {
			must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: name}))
			must(t, j.Reset(t.Context()))
		}
		all, err := m.History(t.Context())
		if err != nil || len(all) != 2 || all[0][0].Name != "b" {
			t.Errorf("history: got %v, %v, want the newest first", all, err)
		}
	})
}

func fileStore(t *testing.T, dir string) *journal.File {
	t.Helper()
	f, err := journal.NewFile(dir, "shop")
	must(t, err)
	return f
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(b), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
