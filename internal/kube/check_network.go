package kube

import (
	"reflect"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The new track's pods carry another label value than the old one's, and a
// NetworkPolicy may know pods by that label. What becomes of the new ones then
// follows from the policies alone:
//
//   - A pod that no policy selects for a direction may do anything; the old
//     one's rules are then missing as a protection, and nothing is cut off.
//   - A pod that some policy selects may do only what the policies that select
//     it allow. Where the old one is allowed something by a policy that does
//     not select the new one, the new one is cut off from it.
//   - Policies of other pods may let the old one's through by the label.
//
// Whether the cluster's network enforces policies at all, and what its own
// kinds of policies say, cannot be read from the API of Kubernetes.

// podLabels are those of the pods of the old and the new track.
type podLabels struct{ old, new map[string]string }

// network checks the policies of the tracks' namespace.
func (k *checking) network(nps []networkingv1.NetworkPolicy, l podLabels) {
	slices.SortFunc(nps, func(a, b networkingv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	said := map[string]bool{}
	for _, d := range []direction{
		{networkingv1.PolicyTypeIngress, "get no requests", "get requests", ingressRules},
		{networkingv1.PolicyTypeEgress, "connect to nothing but DNS at most", "make connections", egressRules},
	} {
		k.isolation(nps, l, d, said)
		for _, np := range nps {
			if k.barred(np, nps, l, d) && !said[np.Name] {
				said[np.Name] = true
				k.warn(l.otherLabel(), "NetworkPolicy %s (for pods %s) lets the pods that users have now through and would not let the new ones",
					np.Name, metav1.FormatLabelSelector(&np.Spec.PodSelector))
			}
		}
	}
}

// otherLabel is what to do about a policy that knows but one of the tracks.
func (l podLabels) otherLabel() string {
	var changed []string
	for key := range l.old {
		if l.old[key] != l.new[key] {
			changed = append(changed, key)
		}
	}
	return "let it select the pods by a label that the rollout does not change, as it does " + strings.Join(sorted(changed), ", ")
}

// direction is one of the two that a policy is about; cut and some say what
// pods cannot do that are cut off in it altogether, or in part.
type direction struct {
	kind      networkingv1.PolicyType
	cut, some string
	rules     func(networkingv1.NetworkPolicy) []rule
}

// rule allows traffic of these ports with these peers; none of a kind means
// all.
type rule struct {
	ports []networkingv1.NetworkPolicyPort
	peers []networkingv1.NetworkPolicyPeer
}

func ingressRules(np networkingv1.NetworkPolicy) []rule {
	var out []rule
	for _, r := range np.Spec.Ingress {
		out = append(out, rule{r.Ports, r.From})
	}
	return out
}

func egressRules(np networkingv1.NetworkPolicy) []rule {
	var out []rule
	for _, r := range np.Spec.Egress {
		out = append(out, rule{r.Ports, r.To})
	}
	return out
}

// applies reports whether a policy is about a direction. One that does not
// say is about ingress, and about egress where it has rules for it.
func (d direction) applies(np networkingv1.NetworkPolicy) bool {
	if len(np.Spec.PolicyTypes) > 0 {
		return slices.Contains(np.Spec.PolicyTypes, d.kind)
	}
	return d.kind == networkingv1.PolicyTypeIngress || len(np.Spec.Egress) > 0
}

// isolation compares what the policies that select the pods allow them.
func (k *checking) isolation(nps []networkingv1.NetworkPolicy, l podLabels, d direction, said map[string]bool) {
	var lost []networkingv1.NetworkPolicy // select the old pods alone
	var by []string                       // select the new ones
	var allowed []rule
	for _, np := range nps {
		switch {
		case !d.applies(np):
		case selectsPods(np.Spec.PodSelector, l.new):
			by = append(by, np.Name)
			allowed = append(allowed, d.rules(np)...)
		case selectsPods(np.Spec.PodSelector, l.old):
			lost = append(lost, np)
		}
	}
	for _, np := range lost {
		missing := slices.ContainsFunc(d.rules(np), func(r rule) bool { return !covered(r, allowed) })
		cut := missing && len(by) > 0 && hopeless(allowed)
		if said[np.Name] && !cut || len(by) > 0 && !missing {
			continue
		}
		said[np.Name] = true
		switch {
		case len(by) == 0:
			k.warn(l.otherLabel(), "NetworkPolicy %s is for the pods that users have now and would not be for the new ones, which nothing would restrict", np.Name)
		case cut:
			k.fail(l.otherLabel()+": kubectl -n "+k.ns+" edit networkpolicy "+np.Name,
				"the new pods would %s: selected by NetworkPolicy %s, they may do only what is allowed, and NetworkPolicy %s, which allows it, selects only the pods that users have now",
				d.cut, strings.Join(by, " and "), np.Name)
		default:
			k.warn(l.otherLabel(), "NetworkPolicy %s lets the pods that users have now %s that the new ones, which it does not select, would not", np.Name, d.some)
		}
	}
}

// hopeless reports whether what is left is nothing, or no more than asking for
// names.
func hopeless(allowed []rule) bool {
	return !slices.ContainsFunc(allowed, func(r rule) bool {
		return len(r.ports) == 0 || slices.ContainsFunc(r.ports, func(p networkingv1.NetworkPolicyPort) bool {
			return p.Port == nil || p.Port.String() != "53" && p.Port.String() != "dns" && p.Port.String() != "dns-tcp"
		})
	})
}

// covered reports whether some rule surely allows all that r does.
func covered(r rule, by []rule) bool {
	return slices.ContainsFunc(by, func(b rule) bool {
		return b.allPorts(r) && (len(b.peers) == 0 || len(r.peers) > 0 && every(r.peers, b.peers))
	})
}

// allPorts reports whether a rule is for all ports that another is for.
func (b rule) allPorts(r rule) bool {
	return len(b.ports) == 0 || len(r.ports) > 0 && every(r.ports, b.ports)
}

// every reports whether all of a are in b, word for word.
func every[T any](a, b []T) bool {
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y T) bool { return reflect.DeepEqual(x, y) }) {
			return false
		}
	}
	return true
}

// barred reports whether a policy, most often of other pods, lets the old pods
// through by a label that the new ones do not have.
func (k *checking) barred(np networkingv1.NetworkPolicy, all []networkingv1.NetworkPolicy, l podLabels, d direction) bool {
	if !d.applies(np) {
		return false
	}
	lets := func(r rule, pod map[string]string) bool {
		return slices.ContainsFunc(r.peers, func(p networkingv1.NetworkPolicyPeer) bool { return k.isPeer(p, pod) })
	}
	var allowed []rule // of what selects the same pods, or all
	for _, other := range all {
		if d.applies(other) && (selectsPods(other.Spec.PodSelector, nil) || reflect.DeepEqual(other.Spec.PodSelector, np.Spec.PodSelector)) {
			allowed = append(allowed, d.rules(other)...)
		}
	}
	return slices.ContainsFunc(d.rules(np), func(r rule) bool {
		return lets(r, l.old) && !lets(r, l.new) && !slices.ContainsFunc(allowed, func(b rule) bool {
			return b.allPorts(r) && (len(b.peers) == 0 || lets(b, l.new))
		})
	})
}

// isPeer reports whether a peer surely means pods of this namespace with these
// labels. One with a namespaceSelector means it where that selects the
// namespace by its name, or selects all.
func (k *checking) isPeer(p networkingv1.NetworkPolicyPeer, pod map[string]string) bool {
	if p.IPBlock != nil {
		return false
	}
	if ns := p.NamespaceSelector; ns != nil && !selectsPods(*ns, map[string]string{"kubernetes.io/metadata.name": k.ns}) {
		return false
	}
	return p.PodSelector == nil || selectsPods(*p.PodSelector, pod)
}

// selectsPods reports whether a label selector selects; one that cannot be
// read does not.
func selectsPods(s metav1.LabelSelector, pod map[string]string) bool {
	sel, err := metav1.LabelSelectorAsSelector(&s)
	return err == nil && sel.Matches(labels.Set(pod))
}
