package journal

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headgate-dev/headgate/pipeline"
)

// skew is how far the clocks of a cluster's API servers may be apart.
const skew = 2 * time.Second

// watched is what one attempt to take a lock has seen of its holder. Clocks
// of different machines are never compared: a holder counts as dead when its
// Lease stayed the same for its duration, by the clock of the one who waits.
type watched struct {
	// holder is the name under which this attempt writes.
	holder string
	seen   *coordinationv1.Lease
	renews string
	until  time.Time
}

// acquire takes the lock, or returns a [*LockedError] as soon as its holder
// is seen to be alive.
func (k *Kube) acquire(ctx context.Context, info pipeline.Info) (*heldLease, error) {
	w := watched{holder: info.ID + "/" + token()}
	for failures := 0; ; {
		h, wait, err := k.attempt(ctx, &w, info)
		if err != nil {
			failures++
			if failures > 3 || !transient(err) || ctx.Err() != nil {
				return nil, err
			}
			wait = 500 * time.Millisecond
		}
		if h != nil {
			return h, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("wait for lease %s: %w", k.lockName(), context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// attempt looks at the Lease once. It returns the lock, or how long to wait before looking
// again.
func (k *Kube) attempt(ctx context.Context, w *watched, info pipeline.Info) (*heldLease, time.Duration, error) {
	ctx, cancel := request(ctx, 5*time.Second)
	defer cancel()
	sent := time.Now()
	now, err := k.readLease(ctx)
	if err != nil {
		return nil, 0, failed(ctx, "read lease "+k.lockName(), err)
	}
	if now != nil && holderOf(now) != w.holder && !k.free(now, info) {
		if wait, err := k.watch(ctx, w, now); wait > 0 || err != nil {
			return nil, wait, err
		}
	}
	taken, err := k.take(ctx, now, info, w.holder)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		// Somebody was faster, or wrote something else into it.
		*w = watched{holder: w.holder}
		return nil, 10 * time.Millisecond, nil
	}
	if err != nil {
		// A request that timed out may have worked; the next attempt sees its
		// own name, and if there is none, the lease runs out by itself.
		return nil, 0, failed(ctx, "take lease "+k.lockName(), err)
	}
	h := &heldLease{store: k, holder: w.holder, lost: newLost(), lease: taken, good: sent}
	h.keep()
	return h, 0, nil
}

// free reports whether the lock can be had without waiting: nobody holds it,
// it was left for this run, or its holder died on this machine.
func (k *Kube) free(l *coordinationv1.Lease, info pipeline.Info) bool {
	if holderOf(l) == "" {
		return true
	}
	if l.Annotations[noteReleased] == "true" && l.Annotations[noteRun] == info.ID {
		return true
	}
	return parseProcess(l.Annotations[noteProcess]).dead(k.me)
}

// watch returns how long to wait still, 0 when the holder is dead, and a
// [*LockedError] when it is alive.
func (k *Kube) watch(ctx context.Context, w *watched, l *coordinationv1.Lease) (time.Duration, error) {
	renews := holderOf(l)
	if l.Spec.RenewTime != nil {
		renews += " " + l.Spec.RenewTime.UTC().Format(time.RFC3339Nano)
	}
	if w.seen != nil && w.renews != renews {
		return 0, lockedBy(k.o.Pipeline, l)
	}
	if w.seen == nil {
		lasts := k.o.Lease
		if s := l.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
			lasts = time.Duration(*s) * time.Second
		}
		lasts = min(lasts, maxLinger)
		rest := min(lasts, lasts+skew-k.age(ctx, l))
		*w = watched{holder: w.holder, seen: l, renews: renews, until: time.Now().Add(rest)}
		if k.o.Report != nil && rest > 0 {
			k.o.Report(fmt.Sprintf("waiting up to %s to see whether run %s is alive, which holds the lock",
				rest.Round(time.Second), l.Annotations[noteRun]))
		}
	}
	return min(max(time.Until(w.until), 0), max(k.o.Lease/15, 100*time.Millisecond)), nil
}

// age returns how long ago the Lease was last written, by the clock of the
// API server alone, 0 where that cannot be found out: the server notes the
// time of each write, and tells its own time by a creation that is not made.
func (k *Kube) age(ctx context.Context, l *coordinationv1.Lease) time.Duration {
	var written time.Time
	for _, f := range l.ManagedFields {
		if f.Time != nil && f.Time.After(written) {
			written = f.Time.Time
		}
	}
	// The holder's own time must tell the same story; else its clock is wrong,
	// or this server notes times in another way.
	if r := l.Spec.RenewTime; r == nil || written.IsZero() || r.Sub(written).Abs() > skew+time.Second {
		return 0
	}
	probe := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: k.lockName() + "-clock", Namespace: k.o.Namespace}}
	u, err := toObject(probe)
	if err != nil {
		return 0
	}
	u, err = k.leases().Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: manager})
	if err != nil {
		return 0
	}
	now := u.GetCreationTimestamp()
	return max(now.Sub(written), 0)
}

// take writes the Lease for this process, on the version that was read.
func (k *Kube) take(ctx context.Context, l *coordinationv1.Lease, info pipeline.Info, holder string) (*coordinationv1.Lease, error) {
	if l != nil {
		l = l.DeepCopy()
		k.claim(l, info, holder)
		return k.writeLease(ctx, l)
	}
	l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: k.lockName(), Namespace: k.o.Namespace}}
	k.claim(l, info, holder)
	u, err := toObject(l)
	if err != nil {
		return nil, err
	}
	u, err = k.leases().Create(ctx, u, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return nil, err
	}
	return fromObject(u)
}
