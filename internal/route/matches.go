package route

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// matchPrefix begins the names of the rules that are made for matches.
const matchPrefix = "headgate-match-"

// ours reports whether a rule was made for matches: by its name, or, where the
// cluster's definition of the kind has no names of rules and drops them, by
// its only backend and by what it asks for.
func (n names) ours(m map[string]any) bool {
	refs, _ := m[n.backends()].([]any)
	if len(refs) != 1 {
		return false
	}
	ref, ok := refs[0].(map[string]any)
	if !ok || !n.is(ref, n.new) && !n.is(ref, n.old) {
		return false
	}
	name, _ := m["name"].(string)
	if name != "" {
		return strings.HasPrefix(name, matchPrefix)
	}
	return n.is(ref, n.new) && len(n.matches) > 0 && n.dialect.matches(m, n.matches)
}

// withMatches puts a rule for the matches in front of each one that points at
// a track. list must hold no such rules.
func (n names) withMatches(list []map[string]any) ([]map[string]any, error) {
	if len(n.matches) == 0 {
		return list, nil
	}
	rules, err := n.among(list)
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for i, m := range list {
		if at := slices.IndexFunc(rules, func(r rule) bool { return r.index == i }); at >= 0 {
			r, err := n.forMatches(rules[at], at)
			if err != nil {
				return nil, fmt.Errorf("rule %d: %w", i+1, err)
			}
			out = append(out, r)
		}
		out = append(out, m)
	}
	return out, nil
}

// forMatches is a rule's copy that asks for a match as well, and gives the new
// track everything.
func (n names) forMatches(r rule, at int) (map[string]any, error) {
	out := deepCopy(r.rule)
	if err := n.match(out, n.matches); err != nil {
		return nil, err
	}
	like := r.new
	if like < 0 {
		like = r.old
	}
	ref := n.pointed(r.refs[like], n.new, n.routeNamespace)
	n.only(ref)
	out[n.backends()] = []any{ref}
	to := n.new.name
	if n.new.namespace != n.routeNamespace {
		to = n.new.namespace + "-" + to
	}
	out["name"] = fmt.Sprintf("%s%s-%d", matchPrefix, to, at+1)
	return out, nil
}

// matching reports whether u has the rules for the matches, as they would be
// made now, and any at all.
func (n names) matching(u *unstructured.Unstructured) (right, some bool) {
	list, err := n.listOf(u)
	if err != nil {
		return false, false
	}
	some = slices.ContainsFunc(list, n.ours)
	want, err := n.withMatches(slices.DeleteFunc(slices.Clone(list), n.ours))
	if err != nil {
		return false, some
	}
	return slices.EqualFunc(list, want, func(a, b map[string]any) bool {
		if n.ours(a) && n.ours(b) {
			return bytes.Equal(nameless(a), nameless(b))
		}
		return bytes.Equal(canonical(a), canonical(b))
	}), some
}

func nameless(m map[string]any) []byte {
	m = maps.Clone(m)
	delete(m, "name")
	return canonical(m)
}

// cookiePattern matches a Cookie header that has a cookie with this very
// value, both for proxies that look for a pattern anywhere in the header and
// for those that want it to match the whole.
func cookiePattern(m match) string {
	return `^(?:.*;[ \t]*)?` + regexp.QuoteMeta(m.Cookie+"="+m.Value) + `(?:[ \t]*;.*)?$`
}

// AlreadyMatchedError reports a rule that asks for the header of a match
// itself, so that the match cannot be added to it.
type AlreadyMatchedError struct {
	// Header is the one that both ask for.
	Header string
}

// Error names the header.
func (e *AlreadyMatchedError) Error() string {
	return "it asks for the header " + e.Header + " itself, so that match: cannot be added to it"
}

// Hint says what can be done instead.
func (e *AlreadyMatchedError) Hint() string { return "use another header or a cookie in match:" }
