package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// peak is what a rollout needs beside what is there, at its largest.
type peak struct {
	pods, deployments, services int64
}

// quota checks that there is room for the peak in a ResourceQuota.
func (k *checking) quota(q corev1.ResourceQuota, need peak, pod podNeeds) {
	if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return // It may not count these pods at all.
	}
	if short := tooMuch(q, need, pod); len(short) > 0 {
		k.fail("raise the quota, or make the new track smaller", "ResourceQuota %s has no room for %d more pods (%s)", q.Name, need.pods, strings.Join(sorted(short), "; "))
	}
	for name := range q.Status.Hard {
		what, of := strings.CutPrefix(string(name), "requests.")
		missing := pod.unrequested
		if !of {
			what, of = strings.CutPrefix(string(name), "limits.")
			missing = pod.unlimited
		}
		if what == "memory" || what == "cpu" {
			if container := missing[corev1.ResourceName(what)]; of && container != "" {
				k.fail("give it one, or make a LimitRange with a default", "ResourceQuota %s counts %s, and container %s has none: its pods would be refused", q.Name, name, container)
			}
		}
	}
}

// tooMuch names what a quota has no room for.
func tooMuch(q corev1.ResourceQuota, need peak, pod podNeeds) []string {
	var short []string
	for name, n := range need.of(pod) {
		hard, limited := q.Status.Hard[name]
		if !limited {
			continue
		}
		room := hard.DeepCopy()
		room.Sub(q.Status.Used[name])
		if n.Cmp(room) > 0 {
			short = append(short, fmt.Sprintf("%s: %s needed, %s left", name, n.String(), room.String()))
		}
	}
	return short
}

// of is the peak as quotas count it.
func (n peak) of(pod podNeeds) map[corev1.ResourceName]resource.Quantity {
	out := map[corev1.ResourceName]resource.Quantity{}
	for name, count := range map[corev1.ResourceName]int64{
		corev1.ResourcePods: n.pods, "count/pods": n.pods,
		"count/deployments.apps": n.deployments, corev1.ResourceServices: n.services, "count/services": n.services,
	} {
		if count > 0 {
			out[name] = *resource.NewQuantity(count, resource.DecimalSI)
		}
	}
	for name, amount := range pod.requests {
		add(out, "requests."+name, amount, n.pods)
		add(out, name, amount, n.pods)
	}
	for name, amount := range pod.limits {
		add(out, "limits."+name, amount, n.pods)
	}
	return out
}

// podNeeds is what one pod asks for.
type podNeeds struct {
	requests, limits corev1.ResourceList
	// unrequested and unlimited name a container that has no request for cpu or
	// memory, and no limit, by the resource.
	unrequested, unlimited map[corev1.ResourceName]string
}

// needsOf adds up what the containers of a pod ask for, with the defaults that
// LimitRanges give them.
func needsOf(spec corev1.PodSpec, ranges []corev1.LimitRange) podNeeds {
	n := podNeeds{
		requests: corev1.ResourceList{}, limits: corev1.ResourceList{},
		unrequested: map[corev1.ResourceName]string{}, unlimited: map[corev1.ResourceName]string{},
	}
	for _, c := range spec.Containers {
		requests, limits := defaulted(c, ranges)
		for name, amount := range requests {
			add(n.requests, name, amount, 1)
		}
		for name, amount := range limits {
			add(n.limits, name, amount, 1)
		}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if _, ok := requests[name]; !ok {
				n.unrequested[name] = cmp.Or(n.unrequested[name], c.Name)
			}
			if _, ok := limits[name]; !ok {
				n.unlimited[name] = cmp.Or(n.unlimited[name], c.Name)
			}
		}
	}
	for _, c := range spec.InitContainers { // They run before the others, one by one.
		requests, limits := defaulted(c, ranges)
		atLeast(n.requests, requests)
		atLeast(n.limits, limits)
	}
	return n
}

// defaulted is what a container asks for once it has been admitted.
func defaulted(c corev1.Container, ranges []corev1.LimitRange) (requests, limits corev1.ResourceList) {
	requests, limits = c.Resources.Requests.DeepCopy(), c.Resources.Limits.DeepCopy()
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	if limits == nil {
		limits = corev1.ResourceList{}
	}
	fill := func(into, from corev1.ResourceList) {
		for name, amount := range from {
			if _, ok := into[name]; !ok {
				into[name] = amount
			}
		}
	}
	fill(requests, limits) // What has a limit of its own requests as much.
	for _, r := range ranges {
		for _, item := range r.Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				fill(limits, item.Default)
				fill(requests, item.DefaultRequest)
				fill(requests, item.Default)
			}
		}
	}
	return requests, limits
}

func atLeast(into, least corev1.ResourceList) {
	for name, amount := range least {
		if now, ok := into[name]; !ok || amount.Cmp(now) > 0 {
			into[name] = amount
		}
	}
}

func add(to map[corev1.ResourceName]resource.Quantity, name corev1.ResourceName, amount resource.Quantity, times int64) {
	total := to[name]
	amount = amount.DeepCopy()
	amount.Mul(times)
	total.Add(amount)
	to[name] = total
}

// limits checks what LimitRanges allow one container.
func (k *checking) limits(spec corev1.PodSpec, ranges []corev1.LimitRange) {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		_, limits := defaulted(c, ranges)
		for _, r := range ranges {
			for _, item := range r.Spec.Limits {
				if item.Type != corev1.LimitTypeContainer {
					continue
				}
				for name, most := range item.Max {
					if limit, ok := limits[name]; ok && limit.Cmp(most) > 0 {
						k.fail("lower the limit, or raise what the LimitRange allows", "container %s may use %s of %s, and LimitRange %s allows %s at most", c.Name, limit.String(), name, r.Name, most.String())
					}
				}
			}
		}
	}
}

// strategyOf is how many pods more, and how many fewer, than wanted a rolling
// update of a Deployment of so many pods may have.
func strategyOf(d *appsv1.Deployment, replicas int) (surge, unavailable int) {
	more, fewer := intstr.FromString("25%"), intstr.FromString("25%") // The API's defaults.
	if u := d.Spec.Strategy.RollingUpdate; u != nil {
		if u.MaxSurge != nil {
			more = *u.MaxSurge
		}
		if u.MaxUnavailable != nil {
			fewer = *u.MaxUnavailable
		}
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(&more, replicas, true)
	if err != nil {
		surge = 1
	}
	if unavailable, err = intstr.GetScaledValueFromIntOrPercent(&fewer, replicas, false); err != nil {
		unavailable = 0
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1 // As the Deployment controller does, to get on at all.
	}
	return surge, min(unavailable, replicas)
}
