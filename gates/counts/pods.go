package counts

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// The metrics of pods, as kube-state-metrics and cAdvisor call them.
const (
	RestartsMetric   = "kube_pod_container_status_restarts_total"
	TerminatedMetric = "kube_pod_container_status_last_terminated_reason"
	PeriodsMetric    = "container_cpu_cfs_periods_total"
	ThrottledMetric  = "container_cpu_cfs_throttled_periods_total"
	CPUMetric        = "container_cpu_usage_seconds_total"
	MemoryMetric     = "container_memory_working_set_bytes"
	LimitMetric      = "container_spec_memory_limit_bytes"
)

// OOMKilled is the reason of a container that was ended for its memory.
const OOMKilled = "OOMKilled"

// Restart says that a container began again.
type Restart struct {
	Namespace, Pod, Container string
	Track                     Track
	// Count is how often, above 0, and Reason why it ended the last time, ""
	// where that is not known.
	Count  int64
	Reason string
}

// Restarter tells the restarts of pods since a moment, for clusters without
// kube-state-metrics. A platform can be one.
type Restarter interface {
	Restarts(ctx context.Context, since time.Time) ([]Restart, error)
}

// Restarts counts the containers that restarted after s.Begin, from series of
// [RestartsMetric] and, if there are any, of [TerminatedMetric], whose label
// reason says why. The query for both is that of [Query.Restarts].
func Restarts(s Settings, series []Series, at time.Time) []Restart {
	found := map[[3]string]*Restart{}
	for _, one := range series {
		t := s.Track(one.Labels)
		if t == Other || one.Labels["__name__"] == TerminatedMetric {
			continue
		}
		// Restarts are numbered from a container's first start on, so that a
		// series which is new counts from zero.
		single := s
		single.Compare, single.Bounds, single.Started = false, nil, s.Begin
		single.Track = func(map[string]string) Track { return Canary }
		single.Bad = func(map[string]string) bool { return true }
		single.Every = max(at.Sub(s.Begin), time.Millisecond)
		n := New(single).Add([]Series{one}, 1)[0].Canary.Requests
		if n == 0 {
			continue
		}
		key := container(one.Labels)
		r := found[key]
		if r == nil {
			r = &Restart{Namespace: key[0], Pod: key[1], Container: key[2], Track: t}
			found[key] = r
		}
		r.Count = max(r.Count, n) // twice where two scrape it
	}
	for _, one := range series {
		r := found[container(one.Labels)]
		if r == nil || one.Labels["__name__"] != TerminatedMetric || len(one.Points) == 0 {
			continue
		}
		if p := one.Points[len(one.Points)-1]; p.Value == 1 && !p.Time.After(at) {
			r.Reason = one.Labels["reason"]
		}
	}
	return slices.SortedFunc(func(yield func(Restart) bool) {
		for _, r := range found {
			if !yield(*r) {
				return
			}
		}
	}, func(a, b Restart) int {
		return cmp.Or(cmp.Compare(a.Track, b.Track), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Container, b.Container))
	})
}

// Restarts is the query for [Restarts] since a moment.
func (q Query) Restarts(since, at time.Time) (string, error) {
	return q.PodMetrics(since.Add(-lookback), at, RestartsMetric, TerminatedMetric)
}

func container(labels map[string]string) [3]string {
	return [3]string{labels["namespace"], labels["pod"], labels["container"]}
}

// Pod is one number of a pod.
type Pod struct {
	Name  string
	Track Track
	Value float64
}

// Medians reduces gauges to one number for each pod: the median over time,
// after from and up to at, of the sum over its containers. Samples of one pod
// are not independent of each other, pods are.
func Medians(series []Series, track func(map[string]string) Track, from, at time.Time) []Pod {
	type moment struct {
		pod string
		at  int64
	}
	sums, tracks := map[moment]float64{}, map[string]Track{}
	for _, s := range series {
		t := track(s.Labels)
		if t == Other || !realContainer(s.Labels) {
			continue
		}
		tracks[s.Labels["pod"]] = t
		for _, p := range s.Points {
			if isCount(p.Value) && p.Time.After(from) && !p.Time.After(at) {
				sums[moment{s.Labels["pod"], p.Time.UnixMilli()}] += p.Value
			}
		}
	}
	values := map[string][]float64{}
	for m, v := range sums {
		values[m.pod] = append(values[m.pod], v)
	}
	var out []Pod
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, Pod{Name: name, Track: tracks[name], Value: median(values[name])})
	}
	return out
}

// realContainer reports whether a series is a container's own: cAdvisor tells
// sums beside them, which would count everything twice.
func realContainer(labels map[string]string) bool {
	c, ok := labels["container"]
	return !ok || c != "" && c != "POD"
}

func median(vs []float64) float64 {
	slices.Sort(vs)
	n := len(vs)
	if n%2 == 1 {
		return vs[n/2]
	}
	return (vs[n/2-1] + vs[n/2]) / 2
}

// Growth is by how much counters of each pod grew after from and up to at,
// such as seconds of CPU or requests. A series that was not there before is
// one of its pod's beginning, and counts from zero.
func Growth(series []Series, track func(map[string]string) Track, from, at time.Time) []Pod {
	sums, tracks := map[string]float64{}, map[string]Track{}
	for _, s := range series {
		t := track(s.Labels)
		if t == Other || !realContainer(s.Labels) {
			continue
		}
		name := s.Labels["pod"]
		tracks[name] = t
		last := 0.0
		for _, p := range s.Points {
			if !isCount(p.Value) || p.Time.After(at) {
				continue
			}
			if p.Time.After(from) {
				if p.Value >= last {
					sums[name] += p.Value - last
				} else {
					sums[name] += p.Value
				}
			}
			last = p.Value
		}
	}
	var out []Pod
	for _, name := range slices.Sorted(maps.Keys(tracks)) {
		out = append(out, Pod{Name: name, Track: tracks[name], Value: sums[name]})
	}
	return out
}

// Ratio divides two numbers of the same pods, such as seconds of CPU by
// requests, throttled periods by all, or memory by its limit. Pods that have
// no second number above 0 are left out.
func Ratio(of, by []Pod) []Pod {
	under := map[string]float64{}
	for _, p := range by {
		under[p.Name] = p.Value
	}
	var out []Pod
	for _, p := range of {
		if d := under[p.Name]; d > 0 {
			p.Value /= d
			out = append(out, p)
		}
	}
	return out
}
