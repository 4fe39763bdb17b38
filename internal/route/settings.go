package route

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// Settings say what a router splits. The zero value of a field means what
// stands at it.
type Settings struct {
	// Namespace is the route's: that of both tracks' workloads, and where they
	// have two, that of the pipeline.
	Namespace string
	// Route is the name of what is written. It must be set.
	Route string
	// Split is between which tracks it splits. The workload of the old one
	// must be set.
	Split stages.Split
	// Matches are the requests that go to the new track whatever its weight.
	Matches []stages.Match
	// Service is the one that the old track is reached by: that which the
	// route points at and which selects the workload's pods. Colours have
	// their own in Split.
	Service string
	// NewService is that of the new track: a colour's own, else
	// [kube.CanaryName] of the workload.
	NewService string
	// Upstream is the upstream block of an nginx: the only one that has a
	// server for each track.
	Upstream string
	// Port limits what is split to backends with this port: any.
	Port int
	// Timeout bounds the wait for the route's controllers: 10 seconds.
	Timeout time.Duration
	// Settle is how long a change must stay as it was written where no
	// controller says that it carries it out: 2 seconds.
	Settle time.Duration
}

// complete fills in what is not given.
func (s Settings) complete(c *kube.Cluster, router string) (Settings, error) {
	if s.Route == "" || s.Split.Old.Workload.Name == "" {
		return Settings{}, fmt.Errorf("make router %s: the names of route and workload must be given", router)
	}
	old, next := &s.Split.Old.Workload, &s.Split.New.Workload
	old.Namespace = cmp.Or(old.Namespace, c.Namespace())
	next.Name = cmp.Or(next.Name, old.Name)
	next.Namespace = cmp.Or(next.Namespace, old.Namespace)
	if next.Namespace == old.Namespace {
		s.Namespace = cmp.Or(s.Namespace, old.Namespace)
	}
	s.Namespace = cmp.Or(s.Namespace, c.Namespace())
	s.Timeout = cmp.Or(s.Timeout, 10*time.Second)
	s.Settle = cmp.Or(s.Settle, 2*time.Second)
	return s, nil
}

// colours reports whether the tracks take turns, so that each can be without a
// backend.
func (s Settings) colours() bool { return s.Split.Old.Colour() && s.Split.New.Colour() }

// match picks requests by a header or a cookie.
type match struct {
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Value  string `json:"value"`
}

// String is how people write it.
func (m match) String() string {
	if m.Cookie != "" {
		return fmt.Sprintf("cookie %s=%s", m.Cookie, m.Value)
	}
	return fmt.Sprintf("header %s: %s", m.Header, m.Value)
}

// together writes matches as one line.
func together(all []match) string {
	var out []string
	for _, m := range all {
		out = append(out, m.String())
	}
	return strings.Join(out, " or ")
}

func (s Settings) matches() []match {
	var out []match
	for _, m := range s.Matches {
		out = append(out, match{Header: m.Header.Value, Cookie: m.Cookie.Value, Value: m.Value.Value})
	}
	return out
}
