package local_test

import (
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// fixture is a world with the workload user, for the suites of platforms.
func fixture(t *testing.T) portstest.PlatformFixture {
	t.Parallel() // each has a world of its own, and waits for probes most of the time
	w := open(t, options(t))
	deploy(t, w, "user", 2)
	return portstest.PlatformFixture{
		Platform: w, Workload: workload("user"), Replicas: 2,
		Old:     stages.Release{Image: image(t, w, "r.example/user:1"), Run: info("0")},
		New:     stages.Release{Image: image(t, w, "r.example/user:2"), Run: info("1")},
		Broken:  stages.Release{Image: "r.example/user@sha256:gone", Run: info("1")},
		Missing: workload("fresh"),
		First:   stages.Release{Image: image(t, w, "r.example/fresh:1"), Manifests: manifestsOf(t, "fresh"), Run: info("1")},
		Running: func(_ *testing.T, tr stages.Track, image string) int { return local.Ready(w, tr, image) },
		State:   func(*testing.T) string { return local.Describe(w) },
		// A pod needs a second for its first probe, and there are eight of us here.
		Patience: 60 * time.Second,
		Blue:     stages.Track{Workload: workload("user"), Name: stages.Blue, Peer: workload("user-green")},
		Green:    stages.Track{Workload: workload("user-green"), Name: stages.Green, Peer: workload("user")},
	}
}

func TestPlatformConforms(t *testing.T) { portstest.Platform(t, fixture) }

func TestWorkloadsArePutBack(t *testing.T) { portstest.Restorer(t, fixture) }

func TestColoursConform(t *testing.T) { portstest.Colours(t, fixture) }

// TestColoursOfTwoNamespacesConform has green in a namespace of its own.
func TestColoursOfTwoNamespacesConform(t *testing.T) {
	portstest.Colours(t, func(t *testing.T) portstest.PlatformFixture {
		f := fixture(t)
		f.Green.Workload.Namespace = "shop-green"
		f.Blue.Peer.Namespace = "shop-green"
		return f
	})
}
