package stages_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate-dev/headgate/pipeline"
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

func TestFinishRefusesManifestsThatNoGateHasJudged(t *testing.T) {
	file := strings.Replace(cutFlag(shopFile), "      traffic:", "      manifests: [deploy/]\n      traffic:", 1)
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		reads := 0
		c.manifests = func(context.Context, stages.Manifests) ([]json.RawMessage, error) {
			if reads++; c.weight == 100 {
				return []json.RawMessage{[]byte(`{"changed":true}`)}, nil
			}
			return []json.RawMessage{[]byte(`{}`)}, nil
		}
		result, _ := c.release(t.Context(), t, file, &memoryStore{})
		var hint interface{ Hint() string }
		if result.Ending != pipeline.DeliveredNotFinished || !errors.As(result.Err, &hint) {
			t.Fatalf("got %+v after %d readings, want delivered, not finished, and a hint", result, reads)
		}
		if c.tracks[stages.Stable].image != "shop/user@sha256:old" || c.weight != 100 {
			t.Errorf("stable was changed: %+v, weight %g", c.tracks[stages.Stable], c.weight)
		}
		c.isWell(t)
	})
}

func TestContainerOfARelease(t *testing.T) {
	web := []stages.Container{{Name: "user", Image: "localhost:5000/user:1"}, {Name: "proxy", Image: "r.example/proxy@sha256:ab"}}
	cases := []struct {
		name string
		all  []stages.Container
		r    stages.Release
		want int
		err  string
	}{
		{"same repository, with port and tag", web, stages.Release{Image: "localhost:5000/user@sha256:cd"}, 0, ""},
		{"named", web, stages.Release{Image: "localhost:5000/user@sha256:cd", Container: "proxy"}, 1, ""},
		{"named wrongly", web, stages.Release{Image: "localhost:5000/user:2", Container: "web"}, 0, "there is no container web, only user, proxy"},
		{"the only one", web[:1], stages.Release{Image: "r.example/other:2"}, 0, ""},
		{"the long name of a short one", []stages.Container{{Name: "a", Image: "x"}, {Name: "b", Image: "redis:7"}}, stages.Release{Image: "docker.io/library/redis:8"}, 1, ""},
		{"neither", web, stages.Release{Image: "r.example/other:2"}, 0, "none of the containers user, proxy has an image of r.example/other"},
		{"both", append(web, stages.Container{Name: "more", Image: "localhost:5000/user:2"}), stages.Release{Image: "localhost:5000/user:3"}, 0, "both user and more have an image of localhost:5000/user"},
		{"none at all", nil, stages.Release{Image: "a"}, 0, "it has no containers"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.r.ContainerOf(c.all)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("got %d, %v, want %d, %q", got, err, c.want, c.err)
			}
		})
	}
}
