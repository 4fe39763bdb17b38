package proxy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
)

// Route is what one HTTPRoute says, reduced to what the proxy does.
type Route struct {
	// Name is unique, such as "shop/user-service".
	Name string `json:"name"`
	// Hosts are the host names it is for, without ports; "*.example.com"
	// stands for all below example.com. Without hosts it is for all that no
	// other route names.
	Hosts []string `json:"hosts,omitempty"`
	// Paths are prefixes by whole segments: /a is for /a and /a/b, not for
	// /ab. Exact are paths to the letter. Without either it is for all paths.
	Paths []string `json:"paths,omitempty"`
	Exact []string `json:"exact,omitempty"`
	// H2C makes it speak HTTP/2 with the pods, as the application protocol
	// kubernetes.io/h2c of a Service's port does. gRPC always is.
	H2C bool `json:"h2c,omitempty"`
	// Weights are the percentages of the tracks, 100 together; a track that
	// is not named gets nothing.
	Weights map[string]float64 `json:"weights"`
	// Fallback is for a route that stands for a Service. Requests for hosts that
	// no route names go by it, whatever they are for, while there is no route of
	// another kind.
	Fallback bool `json:"fallback,omitempty"`
	// Last makes a fallback give way to those that are not.
	Last bool `json:"last,omitempty"`
}

// parts of a percent are what weights are counted in.
const parts = 1_000_000

// Clone returns a copy that shares nothing with r.
func (r Route) Clone() Route {
	r.Hosts, r.Paths, r.Exact = slices.Clone(r.Hosts), slices.Clone(r.Paths), slices.Clone(r.Exact)
	r.Weights = maps.Clone(r.Weights)
	return r
}

// Validate says what is wrong with a route.
func (r Route) Validate() error {
	if r.Name == "" {
		return errors.New("read route: it has no name")
	}
	for _, h := range r.Hosts {
		bare := strings.TrimPrefix(h, "*.")
		if bare == "" || strings.ContainsAny(bare, "*:/ ") {
			return fmt.Errorf("read route %s: %q is no host name", r.Name, h)
		}
	}
	for _, p := range slices.Concat(r.Paths, r.Exact) {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("read route %s: the path %q does not begin with /", r.Name, p)
		}
	}
	var sum int64
	for track, w := range r.Weights {
		if track == "" {
			return fmt.Errorf("read route %s: a weight is of no track", r.Name)
		}
		if math.IsNaN(w) || w < 0 || w > 100 {
			return fmt.Errorf("read route %s: the weight of %s is %v, which is no percentage", r.Name, track, w)
		}
		sum += inParts(w)
	}
	// Rounding of a few parts is no mistake: 33.33 and 66.67.
	if off := sum - 100*parts; off < -len64(r.Weights) || off > len64(r.Weights) {
		return fmt.Errorf("read route %s: its weights are %v%% together, not 100%%", r.Name, float64(sum)/parts)
	}
	return nil
}

func len64(m map[string]float64) int64 { return int64(len(m)) }

func inParts(percent float64) int64 { return int64(math.Round(percent * parts)) }

// rank says how closely a route fits a host and a path: the greater of two is
// the better one. Zero is no fit.
type rank struct {
	host, path int
	exact      bool
}

func (a rank) compare(b rank) int {
	switch {
	case a.host != b.host:
		return a.host - b.host
	case a.exact != b.exact && a.exact:
		return 1
	case a.exact != b.exact:
		return -1
	}
	return a.path - b.path
}

// anyHost ranks a route without hosts below all that name the request's.
const anyHost = 1

// fits ranks a route for a request; host is in lower case, without a port.
// With anyway the host does not count.
func (r *Route) fits(host, path string, anyway bool) (rank, bool) {
	var k rank
	switch {
	case anyway || len(r.Hosts) == 0:
		k.host = anyHost
	default:
		for _, h := range r.Hosts {
			k.host = max(k.host, fitsHost(strings.ToLower(h), host))
		}
	}
	if k.host == 0 {
		return k, false
	}
	if len(r.Paths)+len(r.Exact) == 0 {
		return k, true
	}
	if slices.Contains(r.Exact, path) {
		k.exact, k.path = true, len(path)
		return k, true
	}
	found := false
	for _, p := range r.Paths {
		if below(p, path) {
			k.path, found = max(k.path, len(p)), true
		}
	}
	return k, found
}

// fitsHost ranks an exact name above every pattern, a longer one above a
// shorter one.
func fitsHost(pattern, host string) int {
	suffix, wild := strings.CutPrefix(pattern, "*")
	switch {
	case !wild && pattern == host:
		return math.MaxInt
	case wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix):
		return anyHost + len(suffix)
	}
	return 0
}

func below(prefix, path string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// hostOf is the host of a request as routes name it.
func hostOf(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(hostport, "[]"), "."))
}

// isHere reports whether a host is a name of this machine, which clients use
// who do not care for host names.
func isHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
