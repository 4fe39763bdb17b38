package gatebench

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Outcome is what became of a case: a tally of each try and of each rival.
type Outcome struct {
	Case   Case
	Ours   []Tally
	Others []Tally
}

// Run rolls a case out a number of times, with seeds from 0 on, on all
// processors.
func (c Case) Run(ctx context.Context, runs int) (Outcome, error) {
	rivals := Rivals()
	workers := runtime.GOMAXPROCS(0)
	parts := make([]Outcome, workers)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for w := range parts {
		parts[w] = Outcome{Case: c, Ours: make([]Tally, len(c.Tries)), Others: make([]Tally, len(rivals))}
		group.Go(func() error {
			for ctx.Err() == nil {
				run := int(next.Add(1)) - 1
				if run >= runs {
					return nil
				}
				if err := c.once(run, &parts[w]); err != nil {
					return err
				}
			}
			return context.Cause(ctx)
		})
	}
	if err := group.Wait(); err != nil {
		return Outcome{}, err
	}
	sum := parts[0]
	for _, p := range parts[1:] {
		for i := range sum.Ours {
			sum.Ours[i].merge(p.Ours[i])
		}
		for i := range sum.Others {
			sum.Others[i].merge(p.Others[i])
		}
	}
	return sum, nil
}

// once rolls the case out with one seed.
func (c Case) once(run int, o *Outcome) error {
	trace := c.Scenario.Draw(run)
	series := trace.Scrape()
	for i, try := range c.Tries {
		v, err := try.Setting.Judge(trace, series)
		if err != nil {
			return err
		}
		o.Ours[i].add(v)
	}
	for i, rule := range Rivals() {
		r := rule.Judge(trace)
		o.Others[i].add(Verdict{Ruling: r, Passed: !r.RolledBack})
	}
	return nil
}
