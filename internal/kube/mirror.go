package kube

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// watchLife is how long one watch lives; the server may end it sooner.
	watchLife = 4 * time.Minute
	// relistMin and relistMax bound the wait before a failed list is repeated.
	relistMin, relistMax = 100 * time.Millisecond, 3 * time.Second
)

// Mirrors keeps copies of objects of the cluster up to date by watching them,
// so that who waits for something learns of it as soon as the server knows.
type Mirrors struct {
	c       *Cluster
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	changed chan struct{}
}

// Mirror is the copy of the objects that one list selects.
type Mirror struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	synced  bool
	err     error
}

// Mirrors returns an empty set of mirrors, which live until Close or until ctx
// ends.
func (c *Cluster) Mirrors(ctx context.Context) *Mirrors {
	ctx, cancel := context.WithCancel(ctx)
	return &Mirrors{c: c, ctx: ctx, cancel: cancel, changed: make(chan struct{}, 1)}
}

// Changed gets a value after any mirror changed; several changes may be told
// as one.
func (m *Mirrors) Changed() <-chan struct{} { return m.changed }

// Close ends the watches and waits until they have ended.
func (m *Mirrors) Close() {
	m.cancel()
	m.wg.Wait()
}

// Add begins to mirror what opts select in a namespace.
func (m *Mirrors) Add(gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) *Mirror {
	mi := &Mirror{objects: map[string]*unstructured.Unstructured{}}
	m.wg.Go(func() {
		wait := relistMin
		for m.ctx.Err() == nil {
			began := time.Now()
			err := m.follow(mi, gvr, namespace, opts)
			mi.fail(err)
			if m.ctx.Err() != nil {
				return
			}
			if err != nil {
				m.tell()
			}
			if err == nil && time.Since(began) > time.Second {
				wait = relistMin
			}
			if pause(m.ctx, wait) != nil {
				return
			}
			wait = min(2*wait, relistMax)
		}
	})
	return mi
}

// Objects returns the copies, in no order, whether they are complete, and why
// they are not kept up to date, if so. The objects must not be changed.
func (mi *Mirror) Objects() ([]*unstructured.Unstructured, bool, error) {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	out := make([]*unstructured.Unstructured, 0, len(mi.objects))
	for _, u := range mi.objects {
		out = append(out, u)
	}
	return out, mi.synced, mi.err
}

func (mi *Mirror) fail(err error) {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	mi.err = err
}

func (m *Mirrors) tell() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// follow lists, then watches until the watch ends; nil when that was in order.
func (m *Mirrors) follow(mi *Mirror, gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) error {
	list, err := m.c.List(m.ctx, gvr, namespace, opts)
	if err != nil {
		return err
	}
	mi.mu.Lock()
	clear(mi.objects)
	for i := range list.Items {
		mi.objects[list.Items[i].GetName()] = &list.Items[i]
	}
	mi.synced, mi.err = true, nil
	mi.mu.Unlock()
	m.tell()

	life := int64(watchLife / time.Second)
	opts.TimeoutSeconds, opts.ResourceVersion, opts.AllowWatchBookmarks = &life, list.GetResourceVersion(), true
	// The server ends the watch; the deadline is for when it is gone.
	ctx, cancel := context.WithTimeout(m.ctx, watchLife+30*time.Second)
	defer cancel()
	w, err := m.c.at(gvr, namespace).Watch(ctx, opts)
	if err != nil {
		return cause(m.ctx, err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			if err := mi.take(e); err != nil {
				return err
			}
			if e.Type != watch.Bookmark {
				m.tell()
			}
		}
	}
}

// take applies one event.
func (mi *Mirror) take(e watch.Event) error {
	if e.Type == watch.Error {
		if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return err
		}
		return nil // The watch ends now and all is listed anew.
	}
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	mi.mu.Lock()
	defer mi.mu.Unlock()
	switch e.Type {
	case watch.Added, watch.Modified:
		mi.objects[u.GetName()] = u
	case watch.Deleted:
		delete(mi.objects, u.GetName())
	case watch.Bookmark, watch.Error:
	}
	return nil
}
