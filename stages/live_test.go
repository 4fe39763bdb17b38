package stages_test

import (
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

func TestLiveImageIsThatOfTheReleasesContainer(t *testing.T) {
	two := map[string]string{"proxy": "mesh/proxy:1", "app": "ghcr.io/acme/shop:1"}
	cases := []struct {
		name    string
		images  map[string]string
		release stages.Release
		want    string
	}{
		{"the only one", map[string]string{"app": "other/name:1"}, stages.Release{Image: "ghcr.io/acme/shop@" + digest}, "other/name:1"},
		{"of the same repository", two, stages.Release{Image: "ghcr.io/acme/shop@" + digest}, "ghcr.io/acme/shop:1"},
		{"named", two, stages.Release{Container: "proxy", Image: "ghcr.io/acme/shop:2"}, "mesh/proxy:1"},
		{"named, not there", two, stages.Release{Container: "web", Image: "ghcr.io/acme/shop:2"}, ""},
		{"no match", two, stages.Release{Image: "ghcr.io/acme/cart:2"}, ""},
		{"two matches", map[string]string{"a": "shop:1", "b": "shop:2"}, stages.Release{Image: "shop:3"}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := (stages.Live{Images: tc.images}).ImageFor(tc.release); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
