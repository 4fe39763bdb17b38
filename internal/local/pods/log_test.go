package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestALogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir, "app")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1000)
	const n = 3 * maxLog / 1000
	for i := range n {
		fmt.Fprintf(l, "%d %s\n", i, line)
	}
	fmt.Fprint(l, strings.Repeat("y", maxLine+10)) // has no end yet
	l.close()
	for _, name := range []string{"app.log", "app.log.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxLog || info.Size() == 0 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	got := l.last(1000)
	if len(got) != maxKept || !strings.HasPrefix(got[maxKept-2], fmt.Sprint(n-1)) || len(got[maxKept-1]) > maxLine+len("…") {
		t.Errorf("got %d lines, at last %.20q %.20q", len(got), got[maxKept-2], got[maxKept-1])
	}
	// It goes on where it ended.
	if l, err = openLog(dir, "app"); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if l.size == 0 {
		t.Error("what was there is not counted")
	}
}

func TestLastLinesAreThoseOfTheLastProgram(t *testing.T) {
	l, err := openLog(t.TempDir(), "app")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, text := range []string{"1\n2\n3", "4\n", ""} {
		l.begin()
		fmt.Fprint(l, text)
		want := strings.Fields(text)
		if diff := cmp.Diff(want[max(len(want)-2, 0):], l.since(2), cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"2", "3", "4"}, l.last(3)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if got := l.last(-1); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLog(filepath.Join(file, "logs"), "app"); err == nil || !strings.Contains(err.Error(), "make folder for logs") {
		t.Errorf("got %v", err)
	}
}
