package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headgate-dev/headgate/pipeline"
)

// Annotations on the Lease.
const (
	noteRun      = "headgate.dev/run"
	noteURL      = "headgate.dev/run-url"
	noteProcess  = "headgate.dev/process"
	noteReleased = "headgate.dev/released"
)

// manager is the name that our writes carry in managedFields.
const manager = "headgate"

// fromObject and toObject convert between what the dynamic client speaks and
// the Lease's own type.
func fromObject(u *unstructured.Unstructured) (*coordinationv1.Lease, error) {
	l := new(coordinationv1.Lease)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, l); err != nil {
		return nil, fmt.Errorf("read lease %s: %w", u.GetName(), err)
	}
	return l, nil
}

func toObject(l *coordinationv1.Lease) (*unstructured.Unstructured, error) {
	l.APIVersion, l.Kind = "coordination.k8s.io/v1", "Lease"
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(l)
	if err != nil {
		return nil, fmt.Errorf("encode lease %s: %w", l.Name, err)
	}
	return &unstructured.Unstructured{Object: m}, nil
}

// heldLease is a lock that this process has, renewed in the background until
// it is released or lost.
type heldLease struct {
	store  *Kube
	holder string
	lost   *lost
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu sync.Mutex
	// lease is as last written, good is when the last renewal that succeeded
	// was sent.
	lease *coordinationv1.Lease
	good  time.Time
}

// patience is how long after its last renewal a holder regards the lock as
// lost: sooner than anybody else may take it.
func (h *heldLease) patience() time.Duration { return h.store.o.Lease * 4 / 5 }

// check returns an error when the lock is not held any more. A process that
// was stopped for long finds out here, before its renewal does.
func (h *heldLease) check() error {
	h.mu.Lock()
	late := time.Since(h.good) >= h.patience()
	h.mu.Unlock()
	if late {
		h.lost.now(fmt.Sprintf("it could not be renewed for %s", h.patience()))
	}
	return h.lost.err()
}

// keep starts the renewal.
func (h *heldLease) keep() {
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.done.Go(func() {
		// Every third second of fifteen, and every second once that failed.
		next := time.NewTimer(h.store.o.Lease / 5)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-h.lost.ch:
				return
			case <-next.C:
				wait := h.store.o.Lease / 5
				if !h.renew(ctx) {
					wait = h.store.o.Lease / 15
				}
				_ = h.check()
				next.Reset(wait)
			}
		}
	})
}

// renew writes the time once and reports whether that worked.
func (h *heldLease) renew(ctx context.Context) bool {
	h.mu.Lock()
	lease := h.lease.DeepCopy()
	h.mu.Unlock()
	ctx, cancel := request(ctx, h.store.o.Lease/3)
	defer cancel()
	sent := time.Now()
	lease.Spec.RenewTime = &metav1.MicroTime{Time: sent}
	next, err := h.store.writeLease(ctx, lease)
	if apierrors.IsConflict(err) {
		// Somebody wrote it: another holder, a person with kubectl, or we
		// ourselves in a request whose answer did not come.
		next, err = h.store.readLease(ctx)
		if err == nil && next != nil && holderOf(next) == h.holder {
			next.Spec.RenewTime = &metav1.MicroTime{Time: sent}
			next, err = h.store.writeLease(ctx, next)
		}
	}
	switch {
	case apierrors.IsNotFound(err) || (err == nil && next == nil):
		h.lost.now("lease " + lease.Name + " was deleted")
	case err != nil:
	case holderOf(next) != h.holder:
		h.lost.now("lease " + lease.Name + " was taken by " + holderOf(next))
	default:
		h.mu.Lock()
		h.lease, h.good = next, sent
		h.mu.Unlock()
		return true
	}
	return false
}

// release stops the renewal and gives the lock back, at once or after linger.
func (h *heldLease) release(ctx context.Context, linger time.Duration) error {
	h.stop()
	h.done.Wait()
	if h.check() != nil {
		return nil // nothing is left to give back
	}
	ctx, cancel := request(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	for try := 0; ; try++ {
		lease := h.lease.DeepCopy()
		note(lease, noteReleased, "true")
		if linger > 0 {
			seconds := int32((linger + time.Second - 1) / time.Second)
			lease.Spec.LeaseDurationSeconds = &seconds
			lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
		} else {
			nobody := ""
			lease.Spec.HolderIdentity = &nobody
		}
		_, err := h.store.writeLease(ctx, lease)
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) || try == 3 {
			return failed(ctx, "release lease "+lease.Name, err)
		}
		now, err := h.store.readLease(ctx)
		if err != nil {
			return failed(ctx, "release lease "+lease.Name, err)
		}
		if now == nil || holderOf(now) != h.holder {
			return nil
		}
		h.lease = now
	}
}

// readLease returns the Lease, nil where there is none.
func (k *Kube) readLease(ctx context.Context) (*coordinationv1.Lease, error) {
	u, err := k.leases().Get(ctx, k.lockName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return fromObject(u)
}

// writeLease updates the Lease, expecting it to be as it was read.
func (k *Kube) writeLease(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	u, err := toObject(l)
	if err != nil {
		return nil, err
	}
	u, err = k.leases().Update(ctx, u, metav1.UpdateOptions{FieldManager: manager})
	if err != nil {
		return nil, err
	}
	return fromObject(u)
}

func holderOf(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func note(l *coordinationv1.Lease, name, value string) {
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	if value == "" {
		delete(l.Annotations, name)
		return
	}
	l.Annotations[name] = value
}

func lockedBy(name string, l *coordinationv1.Lease) *LockedError {
	e := &LockedError{Pipeline: name, Run: l.Annotations[noteRun], URL: l.Annotations[noteURL]}
	if l.Spec.AcquireTime != nil {
		e.Since = l.Spec.AcquireTime.Time
	}
	return e
}

// claim fills the Lease in for this process.
func (k *Kube) claim(l *coordinationv1.Lease, info pipeline.Info, holder string) {
	seconds := int32(k.o.Lease / time.Second)
	now := metav1.MicroTime{Time: time.Now()}
	changes := int32(1)
	if l.Spec.LeaseTransitions != nil {
		changes = *l.Spec.LeaseTransitions + 1
	}
	l.Labels = k.labels("lock")
	l.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &holder, LeaseDurationSeconds: &seconds,
		AcquireTime: &now, RenewTime: &now, LeaseTransitions: &changes,
	}
	note(l, noteRun, info.ID)
	note(l, noteURL, info.URL)
	note(l, noteProcess, k.me.String())
	note(l, noteReleased, "")
}
