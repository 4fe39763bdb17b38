package kube

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/headgate-dev/headgate/stages"
)

const (
	// generated is the alphabet of what the API server appends to names.
	generated = "[bcdfghjklmnpqrstvwxz2456789]"
	// maxPrefix is how much of a name it keeps before it appends five
	// characters, and maxHash the length of a pod template hash.
	maxPrefix, maxHash = 58, 10
)

// Selector returns matchers on the labels namespace and pod, which every usual
// scrape configuration of pods sets. A Deployment's pods are called
// NAME-HASH-XXXXX, neither part with a hyphen, so that the pods of a workload
// and those of its canary, or of another workload whose name begins alike, are
// never mixed up.
func (p *Platform) Selector(t stages.Track) string {
	return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(p.c.ns(t.Workload)), strconv.Quote(podPattern(trackName(t))))
}

// podPattern is a regular expression for the names of a Deployment's pods.
func podPattern(deployment string) string {
	quote := func(s string) string { return regexp.QuoteMeta(s) }
	prefix := deployment + "-"
	room := maxPrefix - len(prefix)
	switch {
	case room <= 0: // The hash is cut off whole, and the hyphen perhaps too.
		return quote(prefix[:maxPrefix]) + generated + "{5}"
	case room < maxHash: // The hash may be cut off, and the hyphen after it with it.
		return quote(prefix) + fmt.Sprintf("%s{1,%d}-?%s{5}", generated, room, generated)
	default:
		return quote(prefix) + fmt.Sprintf("%s{1,%d}-%s{5}", generated, maxHash, generated)
	}
}
