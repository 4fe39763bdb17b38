package stages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/proc"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// What stages find out before a run is read by people who are about to
// deliver: each sentence, with its place and its hint.
func TestWhatPreflightFinds(t *testing.T) {
	var page strings.Builder
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name, stage string
		change      func(*city, *stages.Parts)
	}{
		{"no Redis", `flag: {name: new_profile, steps: [{setPercentage: 5}]}`, func(_ *city, p *stages.Parts) { p.Flags = nil }},
		{"no such flag", `flag: {name: nev_profile, steps: [{setPercentage: 5}]}`, nil},
		{"a flag that is on for more", `flag: {name: new_profile, steps: [{setPercentage: 1}]}`, nil},
		{
			"a first deployment without manifests", `canary: {deployment: user, image: "shop/user:2", traffic: {httpRoute: user}, steps: [{setWeight: 5}]}`,
			func(c *city, _ *stages.Parts) { c.tracks = nil },
		},
		{"a probe that is no URL", `canary: {deployment: user, image: "shop/user:2", traffic: {httpRoute: user, probe: shop/health}, steps: [{setWeight: 5}]}`, nil},
		{"a probe that nobody answers", `canary: {deployment: user, image: "shop/user:2", traffic: {httpRoute: user, probe: "http://127.0.0.1:1/health"}, steps: [{setWeight: 5}]}`, nil},
		{"no folder", `test: {run: "true", dir: gone}`, nil},
		{"no shell", `run: {run: "true", shell: /nowhere/fish}`, nil},
		{"no Dockerfile", `build: {image: shop/user, context: gone, tool: buildah}`, nil},
		{"an image's name that is wrong only now", `build: {image: "${{ vars.image }}:1", tool: buildah}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			city := newCity()
			parts := city.parts()
			parts.Commands = proc.Runner{}
			if c.change != nil {
				c.change(city, parts)
			}
			text := "version: 1\nname: shop\nvars: {image: shop/user}\nstages:\n  - name: s\n    " + c.stage + "\n"
			p, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: []byte(text)}, stages.Grammar(parts))
			if problems.HasErrors() {
				t.Fatal(problems)
			}
			r := &pipeline.Runner{
				Pipeline: p, Info: pipeline.Info{ID: "run-1", Pipeline: p.Name}, Clock: pipeline.RealClock{},
				Undoers: stages.Undoers(parts), Values: pipeline.Values{Vars: p.VarValues()},
			}
			begun := time.Now()
			_, findings := r.Plan(t.Context())
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			fmt.Fprintf(&page, "# %s\n", c.name)
			for _, f := range findings {
				if strings.Contains(f.Message, "buildah") {
					continue // which this machine may have or not
				}
				fmt.Fprintf(&page, "%s: warning=%t: %s\n  hint: %s\n", f.Pos, f.Warning, f.Message, f.Hint)
			}
		})
	}
	golden.EqualFile(t, filepath.Join(home, "testdata", "preflight.txt"), []byte(page.String()))
}
