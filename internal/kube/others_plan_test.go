package kube_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/stages"
)

// The plan shows new names and contents, and no value of a Secret.
func TestPlanShowsConfigurationAndNoSecret(t *testing.T) {
	_, p := live(t)
	release := of("2", "2", configuredAs(t, second))
	var b strings.Builder
	for _, track := range []stages.Track{canary, stable} {
		writes, err := p.PlanTrack(t.Context(), track, release, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range writes {
			if w.Thing.Kind == "track" || w.Thing.Kind == "deployment" {
				continue
			}
			fmt.Fprintf(&b, "%s: %s\n%s\n", track.Name, w.Summary, w.Diff)
		}
	}
	text := regexp.MustCompile(`clusterIP.*: [0-9.]+`).ReplaceAllString(b.String(), "clusterIP: …")
	for _, secret := range []string{"hunter", "aHVudGVy", "e30"} {
		if strings.Contains(text, secret) {
			t.Errorf("the plan shows the secret value %s", secret)
		}
	}
	golden.Equal(t, "others.plan", []byte(text))
}
