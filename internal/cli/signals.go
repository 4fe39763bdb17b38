package cli

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// sameSignal is how soon a further signal counts as the same one: a wrapper
// that passes on what the terminal sent to all makes two of it.
const sameSignal = 300 * time.Millisecond

// interruption remembers the signal that ended a process.
type interruption struct {
	mu  sync.Mutex
	got os.Signal
}

// listen returns a context that ends with [pipeline.ErrCancelled] at the
// first signal. At the second, the process exits: somebody means
// it. stop must be called.
func (a *app) listen(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case sig := <-a.Signals:
				if first.IsZero() {
					first = time.Now()
					a.interruption.set(sig)
					a.errorLine("note", sig.String()+": stopping safely; a second signal ends the process at once")
					cancel(pipeline.ErrCancelled)
				} else if time.Since(first) > sameSignal {
					a.aside.leave()
					a.flush()
					a.Exit(int(endingOf(sig)))
				}
			}
		}
	})
	return ctx, func() { close(done); wg.Wait(); cancel(nil) }
}

func (i *interruption) set(sig os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = sig
}

// correct makes the ending of a cancelled run that of the signal it got; the
// engine knows only that it was cancelled.
func (i *interruption) correct(e pipeline.Ending) pipeline.Ending {
	i.mu.Lock()
	defer i.mu.Unlock()
	if e == pipeline.CancelledInt && i.got != nil {
		return endingOf(i.got)
	}
	return e
}

// sink corrects results before reporters see them.
func (i *interruption) sink(to pipeline.Sink) pipeline.Sink { return correcting{i, to} }

type correcting struct {
	i  *interruption
	to pipeline.Sink
}

func (s correcting) Handle(e pipeline.Event) {
	if e.Result != nil {
		r := *e.Result
		r.Ending = s.i.correct(r.Ending)
		e.Result = &r
	}
	s.to.Handle(e)
}

func endingOf(sig os.Signal) pipeline.Ending {
	if sig == os.Interrupt {
		return pipeline.CancelledInt
	}
	return pipeline.CancelledTerm
}
