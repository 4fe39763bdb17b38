package route

import (
	"cmp"
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

var errNotInTime = errors.New("its controller has not accepted it in time")

// awaiting is a wait until what was written is carried out.
type awaiting struct {
	c   *kube.Cluster
	gvr schema.GroupVersionResource
	// name is the router's.
	name string
	// holds returns an error when somebody else has changed the object again.
	holds func(*unstructured.Unstructured) error
	// refused returns why it is not carried out as it is; said whether nil
	// means that it is. Where that is not said, it must stay for settle.
	refused         func(*unstructured.Unstructured) error
	said            func(*unstructured.Unstructured) bool
	settle, timeout time.Duration
}

// await waits until the route, as written, holds and is carried out.
func (r *RuleRouter) await(ctx context.Context, written *unstructured.Unstructured, holds func(*unstructured.Unstructured) error) error {
	at, err := r.resource(ctx)
	if err != nil {
		return err
	}
	return awaiting{
		c: r.c, gvr: at, name: r.Name(), holds: holds, settle: r.set.Settle, timeout: r.set.Timeout,
		refused: func(u *unstructured.Unstructured) error { return r.kind.dialect.refused(r, u) },
		said:    r.kind.dialect.said,
	}.wait(ctx, written)
}

func (a awaiting) wait(ctx context.Context, written *unstructured.Unstructured) error {
	if err := a.holds(written); err != nil {
		return err
	}
	began := time.Now()
	if a.refused(written) == nil && a.said(written) {
		return nil // It has been accepted already; it was not changed.
	}
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errNotInTime)
	defer cancel()
	mirrors := a.c.Mirrors(ctx)
	defer mirrors.Close()
	mi := mirrors.Add(a.gvr, written.GetNamespace(), metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", written.GetName()).String()})
	tick := time.NewTicker(max(a.settle/4, time.Millisecond))
	defer tick.Stop()
	last := errNotInTime
	for {
		us, synced, err := mi.Objects()
		switch {
		case err != nil:
			last = err
		case synced && len(us) == 0:
			return &stages.DriftError{Thing: a.name, Found: "gone", Want: "the route"}
		case synced && us[0].GetGeneration() >= written.GetGeneration():
			if err := a.holds(us[0]); err != nil {
				return err
			}
			if last = a.refused(us[0]); last == nil && (a.said(us[0]) || time.Since(began) >= a.settle) {
				return nil
			}
		}
		select {
		case <-mirrors.Changed():
		case <-tick.C:
		case <-ctx.Done():
			if outer.Err() != nil {
				return context.Cause(outer)
			}
			return cmp.Or(last, errNotInTime)
		}
	}
}
