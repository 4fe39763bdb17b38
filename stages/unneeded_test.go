package stages_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
)

// TestManifestsThatAreLiveChangeNothing: the same again is no release. A change of them
// alone is a release, and so is what cannot be compared.
func TestManifestsThatAreLiveChangeNothing(t *testing.T) {
	const manifests = "      manifests: [deploy/]\n"
	for _, c := range []struct{ name, at, file string }{
		{"blue/green", blueAt, twoColours + manifests},
		{"canary", stableAt, canaryFile + manifests},
		{"rolling", stableAt, rollingFile + manifests},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(c.at)
				release := func() (changes []string) {
					t.Helper()
					before := len(w.log)
					result, _ := w.release(t.Context(), t, c.file)
					if result.Ending != pipeline.Delivered {
						t.Fatalf("got %+v, want delivered\n%q", result, w.log)
					}
					for _, line := range w.log[before:] {
						if !strings.HasPrefix(line, "tidy ") {
							changes = append(changes, line)
						}
					}
					return changes
				}
				w.manifests = "one"
				if len(release()) == 0 {
					t.Error("the first release changes nothing")
				}
				if d := cmp.Diff([]string(nil), release()); d != "" {
					t.Errorf("the same again (-want +got):\n%s", d)
				}
				w.manifests = "two"
				if len(release()) == 0 {
					t.Error("other manifests change nothing")
				}
				w.manifests = ""
				release()
				if len(release()) == 0 {
					t.Error("what cannot be compared changes nothing")
				}
			})
		})
	}
}
