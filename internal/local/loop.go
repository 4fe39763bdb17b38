package local

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"time"
)

// running are the pods of one Deployment.
type running struct {
	pods []*livePod
}

// faultPause is how long a pod that could not be made stays before another is
// tried, as a ConfigMap may have come.
const faultPause = time.Second

// poke makes the loop look. It never blocks.
func (w *World) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// loop makes what runs what is wanted, until the world is closed.
func (w *World) loop() {
	tick := time.NewTicker(time.Second) // for what time alone changes
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-tick.C:
		}
		w.mu.Lock()
		if !w.closed {
			w.look()
			w.connectFronts()
			w.reconcile()
			w.connect()
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

// look reads how the pods are; w.mu is held, as in all that follows.
func (w *World) look() {
	now := time.Now()
	for _, r := range w.running {
		r.pods = slices.DeleteFunc(r.pods, func(p *livePod) bool { return p.ending && p.run == nil })
		for _, p := range r.pods {
			if p.run == nil {
				continue
			}
			p.status = p.run.Status()
			switch {
			case !p.status.Ready:
				p.readyFrom = time.Time{}
			case p.readyFrom.IsZero():
				p.readyFrom = now
			}
		}
	}
}

// reconcile takes one step towards what is wanted for each Deployment; the
// pods that it starts and ends wake the loop again.
func (w *World) reconcile() {
	for key := range w.running {
		if _, wanted := w.state.Deployments[key]; !wanted {
			for _, p := range w.running[key].pods {
				w.end(p)
			}
			if len(w.running[key].pods) == 0 {
				delete(w.running, key)
			}
		}
	}
	for _, key := range w.deploymentNames() {
		w.step(w.state.Deployments[key])
	}
}

// step starts and ends pods of one Deployment.
func (w *World) step(d deployment) {
	key := d.key()
	r, ok := w.running[key]
	if !ok {
		r = &running{}
		w.running[key] = r
	}
	hash := templateHash(&d.Object)
	now, least := time.Now(), time.Duration(d.Object.Spec.MinReadySeconds)*time.Second
	var fresh, old []*livePod
	var c counts
	for _, p := range r.pods {
		ok := p.available(least, now)
		switch {
		case p.ending:
		case p.hash == hash:
			if p.fault != nil && now.Sub(p.made) > faultPause {
				w.end(p)
				continue
			}
			fresh = append(fresh, p)
			c.fresh++
			c.freshAvailable += truth(ok)
		default:
			old = append(old, p)
			c.old++
			c.oldAvailable += truth(ok)
		}
	}
	s := next(c, limitsOf(&d.Object, d.replicas()))
	if d.Object.Spec.Paused {
		s.start, s.endOld = 0, 0
	}
	for _, p := range leastMissed(fresh, least, now)[:s.endFresh] {
		w.end(p)
	}
	for _, p := range leastMissed(old, least, now)[:s.endOld] {
		w.end(p)
	}
	for range s.start {
		r.pods = append(r.pods, w.startPod(d, hash))
		w.poke()
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// leastMissed orders pods by who is to end first: those that are not
// available, then the youngest.
func leastMissed(all []*livePod, least time.Duration, now time.Time) []*livePod {
	slices.SortStableFunc(all, func(a, b *livePod) int {
		return cmp.Or(cmp.Compare(truth(a.available(least, now)), truth(b.available(least, now))), b.made.Compare(a.made))
	})
	return all
}

// end takes a pod out of the endpoints and then ends it as Kubernetes does,
// except that requests which are under way to it are waited for a while: in a
// cluster they would be lost without a preStop hook, and here the proxy knows
// of them.
func (w *World) end(p *livePod) {
	if p.ending {
		return
	}
	p.ending = true
	w.connect()
	if p.run == nil {
		w.poke()
		return
	}
	addresses, run := slices.Collect(maps.Values(p.addresses)), p.run
	w.ending.Go(func() {
		defer w.poke()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { // ends with the pod, or with the world
			select {
			case <-w.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		drain, done := context.WithTimeout(ctx, proxyDrain)
		_ = w.proxy.Drain(drain, addresses...) // those that take longer are broken off
		done()
		_ = run.Stop(ctx) // the cause of ctx's end, when the world ends first
		w.mu.Lock()
		defer w.mu.Unlock()
		p.run = nil
		w.forgetPorts(p)
	})
}

func (w *World) forgetPorts(p *livePod) {
	for _, a := range p.addresses {
		delete(w.ports, portOf(a))
	}
}

// endAll ends all pods with the world, within ctx.
func (w *World) endAll(ctx context.Context) {
	w.mu.Lock()
	var all []*livePod
	for _, r := range w.running {
		for _, p := range r.pods {
			if p.run != nil && !p.ending {
				all = append(all, p)
			}
		}
	}
	fronts := slices.Collect(maps.Values(w.fronts))
	w.mu.Unlock()
	for _, p := range all {
		run := p.run
		w.ending.Go(func() { _ = run.Stop(ctx) }) // killed when ctx ends
	}
	w.ending.Wait()
	for _, f := range fronts {
		f.close()
	}
}

// deploymentNames are the keys of what is wanted, in a fixed order.
func (w *World) deploymentNames() []string { return slices.Sorted(maps.Keys(w.state.Deployments)) }

// hostOf is host:port of a URL.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
