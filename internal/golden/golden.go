// Package golden compares what a test made with a file in testdata, byte for
// byte, and writes that file when the test runs with -update.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update is the flag of every test binary that imports this package.
var update = flag.Bool("update", false, "write the golden files anew")

// Updating reports whether the test runs with -update.
func Updating() bool { return *update }

// Equal fails the test when got differs from the file testdata/name; with
// -update it writes got there.
func Equal(t *testing.T, name string, got []byte) {
	t.Helper()
	EqualFile(t, filepath.Join("testdata", filepath.FromSlash(name)), got)
}

// EqualFile is [Equal] for a file anywhere, such as a generated page.
func EqualFile(t *testing.T, path string, got []byte) {
	t.Helper()
	if Updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (run the test with -update to write it): %v", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (run the test with -update to write it anew; -want +got):\n%s", path, diff)
	}
}
