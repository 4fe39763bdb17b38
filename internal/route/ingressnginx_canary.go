package route

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
)

// The annotations that ingress-nginx reads.
const (
	nginxPrefix      = "nginx.ingress.kubernetes.io/"
	canaryAnnotation = nginxPrefix + "canary"
	weightAnnotation = nginxPrefix + "canary-weight"
	totalAnnotation  = nginxPrefix + "canary-weight-total"
	headerAnnotation = nginxPrefix + "canary-by-header"
	valueAnnotation  = nginxPrefix + "canary-by-header-value"
	cookieAnnotation = nginxPrefix + "canary-by-cookie"
	classAnnotation  = "kubernetes.io/ingress.class"
)

// ours reports whether an Ingress was made by Headgate.
func ours(u *unstructured.Unstructured) bool { return u.GetLabels()[kube.TrackLabel] != "" }

// backendsIn calls do for every backend of an Ingress that is a Service; the
// default backend is one with a nil rule.
func backendsIn(u *unstructured.Unstructured, do func(rule, path, svc map[string]any)) {
	spec, _ := u.Object["spec"].(map[string]any)
	if b, ok := spec["defaultBackend"].(map[string]any); ok {
		if svc, ok := b["service"].(map[string]any); ok {
			do(nil, nil, svc)
		}
	}
	rules, _ := spec["rules"].([]any)
	for _, v := range rules {
		rule, _ := v.(map[string]any)
		http, _ := rule["http"].(map[string]any)
		paths, _ := http["paths"].([]any)
		for _, v := range paths {
			path, _ := v.(map[string]any)
			b, _ := path["backend"].(map[string]any)
			if svc, ok := b["service"].(map[string]any); ok {
				do(rule, path, svc)
			}
		}
	}
}

// pathsTo counts the paths of an Ingress that lead to a Service.
func pathsTo(u *unstructured.Unstructured, name string) int {
	n := 0
	backendsIn(u, func(rule, _, svc map[string]any) {
		if rule != nil && svc["name"] == name {
			n++
		}
	})
	return n
}

// repoint makes all backends that are one Service another one, and returns
// whether there were any.
func repoint(u *unstructured.Unstructured, from, to string) bool {
	changed := false
	backendsIn(u, func(_, _, svc map[string]any) {
		if svc["name"] == from {
			svc["name"], changed = to, true
		}
	})
	return changed
}

// ends are the Service that the user's Ingress leads to, and the other one.
func (p pair) ends() (base, other service, err error) {
	toOld, toNew := pathsTo(p.user, p.old.name), pathsTo(p.user, p.new.name)
	switch {
	case toOld > 0 && toNew > 0:
		return service{}, service{}, fmt.Errorf("the Ingress has paths to both Service %s and Service %s", p.old.name, p.new.name)
	case toOld > 0:
		return p.old, p.new, nil
	case toNew > 0 && p.colours: // It has settled there.
		return p.new, p.old, nil
	}
	return service{}, service{}, fmt.Errorf("no path of the Ingress leads to Service %s", p.old.name)
}

// share is what the new track gets.
func (p pair) share() (float64, error) {
	base, other, err := p.ends()
	if err != nil {
		return 0, err
	}
	w, err := p.aside(base, other)
	if base == p.new {
		w = 100 - w
	}
	return w, err
}

// aside is what the canary Ingress takes away from the user's.
func (p pair) aside(base, other service) (float64, error) {
	if p.canary == nil {
		return 0, nil
	}
	name := p.canary.GetName()
	if !ours(p.canary) {
		return 0, fmt.Errorf("there is an Ingress %s, which Headgate did not make", name)
	}
	all := 0
	backendsIn(p.canary, func(_, _, _ map[string]any) { all++ })
	switch {
	case all == 0:
		return 0, fmt.Errorf("ingress %s leads nowhere", name)
	case pathsTo(p.canary, base.name) == all:
		return 0, nil // The same Service beside itself makes no difference.
	case pathsTo(p.canary, other.name) != all:
		return 0, fmt.Errorf("ingress %s does not lead to Service %s alone", name, other.name)
	}
	a := p.canary.GetAnnotations()
	if a[canaryAnnotation] != "true" {
		return 0, fmt.Errorf("ingress %s is no canary", name)
	}
	return canaryShare(a)
}

// matched reports whether the canary Ingress has the annotations of matches.
func (p pair) matched(matches []match) bool {
	if len(matches) == 0 {
		return true
	}
	want := map[string]string{}
	annotate(want, matches)
	for k, v := range want {
		if p.canary == nil || p.canary.GetAnnotations()[k] != v {
			return false
		}
	}
	return true
}

func annotate(a map[string]string, matches []match) {
	for _, m := range matches {
		if m.Cookie != "" {
			a[cookieAnnotation] = m.Cookie
			continue
		}
		a[headerAnnotation], a[valueAnnotation] = m.Header, m.Value
	}
}

// canaryShare reads the weight of a canary Ingress.
func canaryShare(a map[string]string) (float64, error) {
	read := func(key string, missing int64) (int64, error) {
		s, ok := a[key]
		if !ok {
			return missing, nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > maxWeight {
			return 0, fmt.Errorf("the canary Ingress has %q as %s", s, strings.TrimPrefix(key, nginxPrefix))
		}
		return n, nil
	}
	weight, err := read(weightAnnotation, 0)
	if err != nil {
		return 0, err
	}
	total, err := read(totalAnnotation, 100)
	if err != nil {
		return 0, err
	}
	if total == 0 || weight > total {
		return 0, fmt.Errorf("the canary Ingress has the weight %d of %d", weight, total)
	}
	return split{stable: total - weight, canary: weight}.share()
}

// at returns the canary Ingress with which the new track has a share.
func (p pair) at(to float64, track string, matches []match) (*unstructured.Unstructured, error) {
	base, other, err := p.ends()
	if err != nil {
		return nil, err
	}
	aside := to
	if base == p.new {
		if aside = 100 - to; len(matches) > 0 {
			return nil, fmt.Errorf("the Ingress leads to Service %s itself, so that what is matched cannot be sent there alone", base.name)
		}
	}
	s, err := split{stable: 1}.at(aside)
	if err != nil {
		return nil, err
	}
	next := &unstructured.Unstructured{Object: map[string]any{}}
	if p.canary != nil {
		if !ours(p.canary) {
			return nil, fmt.Errorf("there is an Ingress %s, which Headgate did not make", p.canary.GetName())
		}
		next = p.canary.DeepCopy()
	}
	next.SetAPIVersion("networking.k8s.io/v1")
	next.SetKind("Ingress")
	next.SetNamespace(p.user.GetNamespace())
	next.SetName(kube.CanaryName(p.user.GetName()))
	if track == "" {
		track = "canary"
	}
	next.SetLabels(map[string]string{kube.TrackLabel: track})
	a := carried(p.user.GetAnnotations())
	a[canaryAnnotation], a[weightAnnotation] = "true", strconv.FormatInt(s.canary, 10)
	if total := s.stable + s.canary; total != 100 {
		a[totalAnnotation] = strconv.FormatInt(total, 10)
	}
	annotate(a, matches)
	next.SetAnnotations(a)
	next.Object["spec"] = p.spec(base, other)
	return next, nil
}

// carried are the user's annotations that a canary Ingress must repeat; of all
// others ingress-nginx takes those of the Ingress beside it.
func carried(all map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range all {
		name, nginx := strings.CutPrefix(k, nginxPrefix)
		if k == classAnnotation || nginx && (name == "load-balance" || strings.HasPrefix(name, "upstream-hash-by") ||
			strings.HasPrefix(name, "affinity") || strings.HasPrefix(name, "session-cookie")) {
			out[k] = v
		}
	}
	return out
}

// spec is the user's with those paths alone that lead to base, which lead to
// other.
func (p pair) spec(base, other service) map[string]any {
	from, _ := p.user.DeepCopy().Object["spec"].(map[string]any)
	out := map[string]any{}
	for _, key := range []string{"ingressClassName", "tls"} {
		if v, ok := from[key]; ok {
			out[key] = v
		}
	}
	var rules []any
	list, _ := from["rules"].([]any)
	for _, v := range list {
		rule, _ := v.(map[string]any)
		http, _ := rule["http"].(map[string]any)
		paths, _ := http["paths"].([]any)
		var kept []any
		for _, v := range paths {
			path, _ := v.(map[string]any)
			if name, _, err := unstructured.NestedString(path, "backend", "service", "name"); err != nil || name != base.name {
				continue
			}
			_ = unstructured.SetNestedField(path, other.name, "backend", "service", "name") // It was read there.
			kept = append(kept, path)
		}
		if len(kept) == 0 {
			continue
		}
		rule = maps.Clone(rule)
		rule["http"] = map[string]any{"paths": kept}
		rules = append(rules, rule)
	}
	out["rules"] = rules
	return out
}

// sameCanary reports whether two canary Ingresses are the same.
func sameCanary(a, b *unstructured.Unstructured) bool {
	return sameSpec(a, b) && maps.Equal(a.GetAnnotations(), b.GetAnnotations()) && maps.Equal(a.GetLabels(), b.GetLabels())
}
