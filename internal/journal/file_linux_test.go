package journal_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/headgate-dev/headgate/pipeline"
)

// TestFileOnAFullDisk lets the system refuse the file's growth in the middle
// of an entry: what was written in part must be gone again.
func TestFileOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	store := fileStore(t, dir)
	j, err := store.Open(t.Context(), pipeline.Info{ID: "1"})
	must(t, err)
	defer j.Close(t.Context(), 0)
	must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "a"}))
	info, err := os.Stat(dir + "/shop.jsonl")
	must(t, err)

	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(info.Size()) + 10, Max: old.Max}))
	err = j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "lost"})
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
	if !errors.Is(err, unix.EFBIG) {
		t.Fatalf("append beyond the limit: got %v, want EFBIG", err)
	}
	must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "b"}))
	got, err := store.Peek(t.Context())
	if err != nil || len(got) != 2 || got[1].Name != "b" {
		t.Errorf("after the disk had room again: got %v, %v, want a and b", got, err)
	}
}
