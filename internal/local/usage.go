package local

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// usage tells Prometheus what the containers use, under the names that the
// kubelet has for it.
type usage struct {
	w        *World
	listener net.Listener
	server   *http.Server
	served   chan struct{}
}

func (w *World) openUsage() (*usage, error) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("listen for the metrics of containers: %w", err)
	}
	u := &usage{w: w, listener: l, served: make(chan struct{})}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(u.served)
		_ = u.server.Serve(l) // until close
	}()
	return u, nil
}

func (u *usage) address() string { return u.listener.Addr().String() }

func (u *usage) close() error {
	err := u.server.Close()
	<-u.served
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// kept is a container with what is read of it.
type kept struct {
	namespace, pod string
	spec           corev1.Container
	pid            int
}

// consumption is what a process and all that descends from it use.
type consumption struct {
	cpu    float64 // in seconds
	memory uint64  // resident, in bytes
}

// ServeHTTP answers a scrape.
func (u *usage) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	all := u.w.containers()
	pids := make([]int, len(all))
	for i, c := range all {
		pids[i] = c.pid
	}
	used := consumptions(pids)
	rw.Header().Set("Content-Type", "text/plain; version=0.0.4")
	families := []struct {
		name, kind string
		value      func(kept) (float64, bool)
	}{
		{"container_cpu_usage_seconds_total", "counter", func(c kept) (float64, bool) { v, ok := used[c.pid]; return v.cpu, ok }},
		{"container_memory_usage_bytes", "gauge", func(c kept) (float64, bool) { v, ok := used[c.pid]; return float64(v.memory), ok }},
		{"container_memory_working_set_bytes", "gauge", func(c kept) (float64, bool) { v, ok := used[c.pid]; return float64(v.memory), ok }},
		{"container_spec_memory_limit_bytes", "gauge", func(c kept) (float64, bool) { return limit(c, corev1.ResourceMemory) }},
		{"container_spec_cpu_period", "gauge", func(c kept) (float64, bool) { _, ok := limit(c, corev1.ResourceCPU); return cpuPeriod, ok }},
		{"container_spec_cpu_quota", "gauge", func(c kept) (float64, bool) { v, ok := limit(c, corev1.ResourceCPU); return v * cpuPeriod, ok }},
	}
	for _, f := range families {
		fmt.Fprintf(rw, "# TYPE %s %s\n", f.name, f.kind)
		for _, c := range all {
			if v, ok := f.value(c); ok {
				sample(rw, f.name, c, v)
			}
		}
	}
}

// cpuPeriod is what a quota of CPU is counted in, in microseconds.
const cpuPeriod = 100_000

func limit(c kept, of corev1.ResourceName) (float64, bool) {
	q, ok := c.spec.Resources.Limits[of]
	return q.AsApproximateFloat64(), ok
}

// sample writes one; the names are those of Kubernetes, which need no escapes.
func sample(to io.Writer, name string, c kept, v float64) {
	fmt.Fprintf(to, "%s{namespace=%q,pod=%q,container=%q} %g\n", name, c.namespace, c.pod, c.spec.Name, v)
}

// containers are all that have a process.
func (w *World) containers() []kept {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []kept
	for _, key := range slices.Sorted(maps.Keys(w.running)) {
		namespace, _, _ := strings.Cut(key, "/")
		for _, p := range w.running[key].pods {
			for _, s := range p.status.Containers {
				i := slices.IndexFunc(p.template.Spec.Containers, func(c corev1.Container) bool { return c.Name == s.Name })
				if s.Running && s.PID > 0 && i >= 0 {
					out = append(out, kept{namespace, p.name, p.template.Spec.Containers[i], s.PID})
				}
			}
		}
	}
	return out
}
