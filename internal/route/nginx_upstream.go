package route

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
)

// maxNginxWeight bounds the weights that are believed.
const maxNginxWeight = 1_000_000_000

// nginxServer is a server of an upstream block.
type nginxServer struct {
	d      *nginxDirective
	weight int64
	down   bool
	backup bool
}

// share is what it gets, 0 when it is down.
func (s *nginxServer) share() int64 {
	if s == nil || s.down {
		return 0
	}
	return s.weight
}

// nginxHosts is the Service that stands for one track, by which its server is
// known. local is the namespace of nginx itself, which a short name means.
type nginxHosts struct {
	service service
	local   string
}

// has reports whether an address is that of the Service.
func (h nginxHosts) has(address string) bool {
	name, ns := hostParts(address, h.local)
	return name != "" && h.service == service{ns, name}
}

// hostParts reads a Service's name and namespace from an address: NAME,
// NAME.NAMESPACE, or NAME.NAMESPACE.svc and what may follow.
func hostParts(address, local string) (name, namespace string) {
	host, _ := cutPort(address)
	parts := strings.SplitN(strings.TrimSuffix(strings.ToLower(host), "."), ".", 4)
	switch {
	case len(parts) == 1:
		return parts[0], local
	case len(parts) > 2 && parts[2] != "svc":
		return "", ""
	}
	return parts[0], parts[1]
}

// cutPort parts a server's address from its port, which may be "".
func cutPort(address string) (host, port string) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		return host, port
	}
	return address, ""
}

// nginxUpstream is an upstream block and the servers of both tracks in it, nil
// where there is none.
type nginxUpstream struct {
	text     string
	name     string
	block    *nginxDirective
	old, new *nginxServer
}

// upstreamBlocks finds the upstream blocks of a configuration, or of a file
// that is included in one.
func upstreamBlocks(text string) ([]*nginxDirective, error) {
	all, err := parseNginx(text)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.block && (d.name() == "http" || d.name() == "stream") {
			all = append(all, d.children...)
		}
	}
	return slices.DeleteFunc(all, func(d *nginxDirective) bool {
		return !d.block || d.name() != "upstream" || len(d.words) != 2
	}), nil
}

// nginxUpstreams finds the blocks of a text that have a server for the old
// track, the new one or both.
func nginxUpstreams(text string, oldHosts, newHosts nginxHosts) ([]*nginxUpstream, error) {
	blocks, err := upstreamBlocks(text)
	if err != nil {
		return nil, err
	}
	var out []*nginxUpstream
	for _, d := range blocks {
		u := &nginxUpstream{text: text, name: d.words[1].text, block: d}
		if err := u.servers(oldHosts, newHosts); err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.name, err)
		}
		if u.old != nil || u.new != nil {
			out = append(out, u)
		}
	}
	return out, nil
}

// nginxPointsAt reports whether any upstream of a text has a server at hosts.
func nginxPointsAt(text string, hosts nginxHosts) bool {
	blocks, _ := upstreamBlocks(text) // What cannot be read is said elsewhere.
	for _, b := range blocks {
		for _, d := range b.children {
			if d.name() == "server" && len(d.words) > 1 && hosts.has(d.words[1].text) {
				return true
			}
		}
	}
	return false
}

// servers reads the block's servers.
func (u *nginxUpstream) servers(oldHosts, newHosts nginxHosts) error {
	var other string
	for _, d := range u.block.children {
		if d.name() != "server" || len(d.words) < 2 {
			continue
		}
		s, err := readNginxServer(d)
		if err != nil {
			return err
		}
		address, place := d.words[1].text, (**nginxServer)(nil)
		switch isOld, isNew := oldHosts.has(address), newHosts.has(address); {
		case isOld && isNew:
			return fmt.Errorf("server %s is that of both tracks", address)
		case isOld:
			place = &u.old
		case isNew:
			place = &u.new
		case !s.down && !s.backup:
			other = address
		}
		if place == nil {
			continue
		}
		if *place != nil {
			return fmt.Errorf("it has two servers of the same track, %s and %s", (*place).d.words[1].text, address)
		}
		*place = s
	}
	if other != "" && (u.old != nil || u.new != nil) {
		return fmt.Errorf("server %s, which is of neither track, shares its traffic; it is not clear how to split it", other)
	}
	return nil
}

// readNginxServer reads the parameters of a server.
func readNginxServer(d *nginxDirective) (*nginxServer, error) {
	s := &nginxServer{d: d, weight: 1}
	for _, w := range d.words[2:] {
		switch v, isWeight := strings.CutPrefix(w.text, "weight="); {
		case isWeight:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 || n > maxNginxWeight {
				return nil, fmt.Errorf("server %s has the parameter %s", d.words[1].text, w.text)
			}
			s.weight = n
		case w.text == "down":
			s.down = true
		case w.text == "backup":
			s.backup = true
		}
	}
	return s, nil
}

// weight is the share of the new track in percent.
func (u *nginxUpstream) weight() (float64, error) {
	o, n := u.old.share(), u.new.share()
	if o+n == 0 {
		return 0, fmt.Errorf("neither track has any weight in upstream %s", u.name)
	}
	return (split{stable: o, canary: n}).share()
}

// nginxWeights are the weights for a percentage: of 100 where that can be,
// else the least whole numbers.
func nginxWeights(percent float64) (old, new int64, err error) {
	if math.IsNaN(percent) || percent < 0 || percent > 100 {
		return 0, 0, fmt.Errorf("a weight of %v %% makes no sense", percent)
	}
	part := decimals(percent)
	sum := 100 * part
	new = int64(math.Round(percent * float64(part)))
	old = sum - new
	if (percent > 0 && new == 0) || (percent < 100 && old == 0) {
		return 0, 0, fmt.Errorf("a weight of %v %% is too fine", percent)
	}
	if g := gcd(old, new); part > 1 {
		old, new = old/g, new/g
	}
	return old, new, nil
}

// edit is a part of a text that becomes another.
type edit struct {
	start, end int
	text       string
}

// edited makes all edits, which do not overlap.
func edited(text string, edits []edit) string {
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// at returns the text with the share of the new track at percent. missing is
// the host of the track that has no server yet.
func (u *nginxUpstream) at(percent float64, missing string) (string, error) {
	o, n, err := nginxWeights(percent)
	if err != nil {
		return "", err
	}
	if now, err := u.weight(); err == nil && near(now, percent) {
		return u.text, nil
	}
	var edits []edit
	for _, side := range []struct {
		server, other *nginxServer
		weight        int64
	}{{u.old, u.new, o}, {u.new, u.old, n}} {
		switch {
		case side.server != nil:
			edits = append(edits, side.server.set(side.weight)...)
		case side.weight > 0:
			edits = append(edits, side.other.double(u.text, missing, side.weight))
		}
	}
	return edited(u.text, edits), nil
}

// set gives a server a weight, 0 as down, by changing those parameters alone.
func (s *nginxServer) set(weight int64) []edit {
	param := "down"
	if weight > 0 {
		param = "weight=" + strconv.FormatInt(weight, 10)
	}
	var out []edit
	for i, w := range s.d.words[2:] {
		if w.text != "down" && !strings.HasPrefix(w.text, "weight=") {
			continue
		}
		if len(out) == 0 {
			out = append(out, edit{w.start, w.end, param})
		} else { // The other of both goes, with the space before it.
			out = append(out, edit{s.d.words[i+1].end, w.end, ""})
		}
	}
	if len(out) == 0 {
		last := s.d.words[len(s.d.words)-1].end
		out = append(out, edit{last, last, " " + param})
	}
	return out
}

// double is a second server after s, in its form, with another host.
func (s *nginxServer) double(text, host string, weight int64) edit {
	_, port := cutPort(s.d.words[1].text)
	if port != "" {
		host = host + ":" + port
	}
	words := []string{"server", host, "weight=" + strconv.FormatInt(weight, 10)}
	for _, w := range s.d.words[2:] {
		if w.text != "down" && w.text != "backup" && !strings.HasPrefix(w.text, "weight=") {
			words = append(words, text[w.start:w.end])
		}
	}
	return edit{s.d.end, s.d.end, indentOf(text, s.d.start) + strings.Join(words, " ") + ";"}
}

// indentOf is the line break and the space before what stands at a place, a
// single space where other things stand before it in its line.
func indentOf(text string, at int) string {
	from := strings.LastIndexByte(text[:at], '\n') + 1
	if from > 0 && strings.TrimLeft(text[from:at], " \t") == "" {
		return "\n" + text[from:at]
	}
	return " "
}

// hostLike is the host of a Service, written in the form in which another's is;
// local is the namespace of nginx.
func hostLike(other string, s service, local string) string {
	host, _ := cutPort(other)
	_, rest, long := strings.Cut(host, ".")
	_, domain, full := strings.Cut(rest, ".")
	switch {
	case !long && s.namespace == local:
		return s.name
	case !full:
		return s.name + "." + s.namespace
	}
	return s.name + "." + s.namespace + "." + domain
}

// text is the directive as it stands, "" where there is none.
func (s *nginxServer) text(of string) string {
	if s == nil {
		return ""
	}
	return of[s.d.start:s.d.end]
}

// restored returns the text with the servers of a snapshot. A server that
// somebody else has changed meanwhile keeps that change, and only its weight is
// put back.
func (u *nginxUpstream) restored(was nginxSnapshot) (string, error) {
	var edits []edit
	for _, side := range []struct {
		now *nginxServer
		was string
	}{{u.old, was.Old}, {u.new, was.New}} {
		switch {
		case side.now == nil && side.was == "":
		case side.now == nil:
			return "", fmt.Errorf("upstream %s has lost its line %q", u.name, side.was)
		case side.was == "":
			d := side.now.d
			edits = append(edits, edit{d.start - len(indentOf(u.text, d.start)), d.end, ""})
		default:
			then, err := parseNginx(side.was)
			if err != nil || len(then) != 1 || len(then[0].words) < 2 {
				return "", fmt.Errorf("read snapshot of route: %q is no server", side.was)
			}
			if slices.Equal(then[0].others(), side.now.d.others()) {
				edits = append(edits, edit{side.now.d.start, side.now.d.end, side.was})
				continue
			}
			s, err := readNginxServer(then[0])
			if err != nil {
				return "", err
			}
			edits = append(edits, side.now.set(s.share())...)
		}
	}
	return edited(u.text, edits), nil
}

// others are the words of a server apart from its weight.
func (d *nginxDirective) others() []string {
	var out []string
	for _, w := range d.words {
		if w.text != "down" && !strings.HasPrefix(w.text, "weight=") {
			out = append(out, w.text)
		}
	}
	return out
}
