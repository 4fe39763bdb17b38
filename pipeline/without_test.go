package pipeline_test

import (
	"slices"
	"testing"
)

func TestSecretsWithoutSectionsAreThoseThatSomethingElseNames(t *testing.T) {
	p := parseGood(t, `version: 1
name: x
secrets:
  inside: {env: A}
  both: {env: B}
  nowhere: {env: C}
  indexed: {env: D}
prometheus: {url: "${{ secrets.inside }}${{ secrets.both }}"}
stages:
  - {name: s, commit: , env: {A: "${{ secrets.both }}", D: '${{ secrets["indexed"] + "x" }}'}}
`, nil)
	all := []string{"inside", "both", "nowhere", "indexed"}
	for _, c := range []struct {
		without []string
		want    []string
	}{
		{nil, all},
		{[]string{"other"}, all},
		{[]string{"prometheus"}, []string{"both", "nowhere", "indexed"}},
	} {
		left := p.SecretsWithout(c.without...)
		if got := left.Keys(); !slices.Equal(got, c.want) {
			t.Errorf("without %v: got %v, want %v", c.without, got, c.want)
		}
	}
}
