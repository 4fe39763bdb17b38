package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headgate-dev/headgate/pipeline"
)

// How long one request may take, and one write with its repetitions.
const (
	perRequest = 5 * time.Second
	perWrite   = 10 * time.Second
)

// kubeJournal is an open journal of a [Kube] store.
type kubeJournal struct {
	store *Kube
	held  *heldLease

	mu     sync.Mutex
	head   *kubeObject   // as last written
	tried  []*kubeObject // writes on head whose end is not known
	events []pipeline.Event
	closed bool
}

// takeOver writes the new holder into the journal, which from then on refuses
// the writes of the former one, and reads it.
func (j *kubeJournal) takeOver(ctx context.Context) error {
	ctx, cancel := request(ctx, perWrite)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second/2) {
		err := j.fence(ctx)
		if err == nil || !transient(err) || !j.pause(ctx, pause) {
			return err
		}
	}
}

func (j *kubeJournal) fence(ctx context.Context) error {
	k := j.store
	for {
		head, err := k.read(ctx, k.journalName())
		if err != nil {
			return err
		}
		if head == nil {
			head = &kubeObject{name: k.journalName(), meta: kubeMeta{Version: 1}, tail: header()}
		}
		head.meta.Holder = j.held.holder
		next, err := k.write(ctx, head, "current")
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			// The former holder's last write came in between; it is read next.
			if err := j.held.check(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return failed(ctx, "take over journal "+head.name, err)
		}
		j.head = next
		j.events, err = k.events(ctx, next)
		return err
	}
}

// Append writes one entry, in one update of one object.
func (j *kubeJournal) Append(ctx context.Context, e pipeline.Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.change(ctx, func(ctx context.Context, o *kubeObject) error { return j.add(ctx, o, line) })
}

// Reset moves what is there into the history.
func (j *kubeJournal) Reset(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var segments []segment
	err := j.change(ctx, func(ctx context.Context, o *kubeObject) error {
		segments = o.meta.Segments
		empty := len(segments) == 0 && len(o.packed) == 0 && len(o.tail) <= len(header())
		if !empty && j.store.o.History > 0 && j.archive(ctx, o) == nil {
			o.meta.Ended++
		}
		o.meta.Segments, o.packed, o.tail = nil, nil, header()
		return nil
	})
	if err != nil {
		return err
	}
	j.events = nil
	for _, s := range segments {
		// What is left over is overwritten when its name is needed again.
		ctx, cancel := request(ctx, perRequest)
		_ = j.store.secrets().Delete(ctx, s.Name, metav1.DeleteOptions{})
		cancel()
	}
	return nil
}

// change makes the journal what edit makes of it, on the condition that it
// is as this process left it.
func (j *kubeJournal) change(ctx context.Context, edit func(context.Context, *kubeObject) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if j.closed {
		return errClosed
	}
	ctx, cancel := request(ctx, perWrite)
	defer cancel()
	w := kubeWrite{edit: edit}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second/2) {
		err := j.attempt(ctx, &w)
		if err == nil || !transient(err) {
			return err
		}
		if !j.pause(ctx, pause) {
			return errors.Join(j.held.lost.err(), err)
		}
	}
}

// kubeWrite is one change of the journal: how to make it, and, once that was
// done, what it makes of the journal.
type kubeWrite struct {
	edit func(context.Context, *kubeObject) error
	next *kubeObject
}

// attempt tries a change once; where others touched the object without
// changing the journal, more often.
func (j *kubeJournal) attempt(ctx context.Context, w *kubeWrite) error {
	for {
		if w.next == nil {
			next := j.head.clone()
			if err := w.edit(ctx, next); err != nil {
				return err
			}
			w.next, j.tried = next, append(j.tried, next)
		}
		if err := j.held.check(); err != nil {
			return err
		}
		w.next.version = j.head.version
		written, err := j.store.write(ctx, w.next, "current")
		if err == nil {
			j.head, j.tried = written, nil
			return nil
		}
		if !apierrors.IsConflict(err) {
			return j.explain(ctx, err)
		}
		if err := j.reread(ctx); err != nil {
			return err
		}
		if j.head.same(w.next) {
			return nil
		}
		w.next = nil
	}
}

// pause waits, and reports whether there is any use in trying again.
func (j *kubeJournal) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-j.held.lost.ch:
		return false
	case <-timer.C:
		return true
	}
}

// explain puts both into the error of a failed write: that the time was up,
// and what the last answer was.
func (j *kubeJournal) explain(ctx context.Context, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("write journal: secret %s was deleted by somebody", j.head.name)
	}
	if apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInvalid(err) {
		return fmt.Errorf("write journal: %w: %w", ErrTooLarge, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("write journal: %w: %w", cause, err)
	}
	return failed(ctx, "write journal", err)
}

// reread finds out what became of a write whose end is not known.
func (j *kubeJournal) reread(ctx context.Context) error {
	now, err := j.store.read(ctx, j.head.name)
	if err != nil {
		return err
	}
	switch {
	case now == nil:
		return fmt.Errorf("write journal: secret %s was deleted by somebody", j.head.name)
	case now.meta.Holder != j.held.holder:
		j.held.lost.now("the journal was taken over by " + now.meta.Holder)
		return j.held.check()
	case now.same(j.head):
		// A write that is still under way may come through later.
		j.head = now
		return nil
	case slices.ContainsFunc(j.tried, now.same):
		j.head, j.tried = now, nil
		return nil
	}
	return errors.New("write journal: secret " + j.head.name + " was changed by somebody; its entries are not what this run wrote")
}

// add puts line behind the journal. Where the tail is full it is packed, and
// where that is full too, it becomes a segment.
func (j *kubeJournal) add(ctx context.Context, o *kubeObject, line []byte) error {
	limit := j.store.o.limits
	if len(o.tail)+len(line) <= limit.tail {
		o.tail = append(o.tail, line...)
		return nil
	}
	member, err := pack(append(slices.Clone(o.tail), line...))
	if err != nil {
		return err
	}
	if len(o.packed) > 0 && len(o.packed)+len(member) > limit.packed {
		if err := j.seal(ctx, o); err != nil {
			return err
		}
	}
	o.packed, o.tail = append(o.packed, member...), nil
	if o.size() > limit.object {
		return fmt.Errorf("write journal: %d bytes: %w", o.size(), ErrTooLarge)
	}
	return nil
}

// seal moves what is packed into an object of its own. One of that name may
// be left over from a process that died, or be just now written by one that
// lost the lock and does not know. It is read before the first object is: if
// that one still names this holder, any later writer of the segment is
// refused by the segment's version, or refuses this one.
func (j *kubeJournal) seal(ctx context.Context, o *kubeObject) error {
	k := j.store
	s := &kubeObject{name: k.segmentName(len(o.meta.Segments) + 1), meta: kubeMeta{Version: 1, Holder: j.held.holder}, packed: o.packed}
	old, err := k.read(ctx, s.name)
	if err != nil {
		return err
	}
	if old != nil {
		if err := j.reread(ctx); err != nil {
			return err
		}
		s.version = old.version
	}
	if _, err := k.write(ctx, s, "segment"); err != nil {
		return j.explain(ctx, err)
	}
	o.meta.Segments = append(o.meta.Segments, segment{Name: s.name, SHA256: sum(s.packed)})
	o.packed = nil
	return nil
}

// archive copies a journal that has ended into the next place of the history.
// One that is too large for one object is kept as an outline, without what
// things were and became.
func (j *kubeJournal) archive(ctx context.Context, o *kubeObject) error {
	k := j.store
	text, err := k.text(ctx, o)
	if err != nil {
		return err
	}
	h := &kubeObject{name: k.historyName(k.slot(o.meta.Ended + 1)), meta: kubeMeta{Version: 1}}
	if h.packed, err = pack(text); err != nil {
		return err
	}
	if h.size() > k.o.limits.object {
		h.meta.Stripped = true
		if h.packed, err = outline(text); err != nil {
			return err
		}
	}
	old, err := k.read(ctx, h.name)
	if err != nil {
		return err
	}
	if old != nil {
		h.version = old.version
	}
	_, err = k.write(ctx, h, "history")
	return err
}

// outline packs a journal without what its things were and became.
func outline(text []byte) ([]byte, error) {
	events, _, err := decode("history", text)
	if err != nil {
		return nil, err
	}
	lines := header()
	for _, e := range events {
		if e.Change != nil {
			c := *e.Change
			c.Was, c.To = nil, nil
			e.Change = &c
		}
		line, err := encode(e)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line...)
	}
	return pack(lines)
}

// Events returns what was there when the journal was opened or reset.
func (j *kubeJournal) Events() []pipeline.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// Lost is closed when the lock could not be renewed in time, or somebody else
// has it.
func (j *kubeJournal) Lost() <-chan struct{} { return j.held.lost.ch }

// Close gives the lock back. It tries for a few seconds even when ctx has
// ended, so that a cancelled run does not leave the lock behind.
func (j *kubeJournal) Close(ctx context.Context, linger time.Duration) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	return j.held.release(ctx, linger)
}
