package report

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Plain writes lines: for logs, for pipes, for whoever does not want more. It
// never moves a cursor.
type Plain struct {
	mu sync.Mutex
	p  printer
	// output is what the stage's commands printed last, kept where it is quiet.
	output tail
}

var _ Reporter = (*Plain)(nil)

// NewPlain returns a plain reporter.
func NewPlain(o Options) *Plain {
	if o.Quiet {
		o.Heartbeat = 0
	}
	r := &Plain{p: printer{Options: o, teller: newTeller(o.Verbose)}}
	r.p.beat = func() { r.mu.Lock(); defer r.mu.Unlock(); r.p.heartbeat() }
	return r
}

// Handle writes what there is to say about e.
func (r *Plain) Handle(e pipeline.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.heard(e)
	lines := r.p.tell(e)
	if r.p.Quiet {
		lines = r.audible(e, lines)
	}
	r.p.lines(e, lines)
	r.p.where(e)
}

// audible returns the lines that are said also to people who want it quiet.
func (r *Plain) audible(e pipeline.Event, lines []line) []line {
	switch e.Type {
	case pipeline.EvidenceFound, pipeline.RollingBack, pipeline.RolledBack, pipeline.UndoFailed, pipeline.Interrupted, pipeline.RunEnded:
		return lines
	case pipeline.StageStarted:
		r.output = tail{}
	case pipeline.Output:
		r.output.add(e.Message)
	case pipeline.Judged:
		if e.Verdict != nil && e.Verdict.Outcome == pipeline.Fail {
			return lines
		}
	case pipeline.StageFailed:
		var before []line
		for _, text := range r.output.last(maxTail) {
			before = append(before, line{text: "| " + text, tone: quiet, under: true})
		}
		return append(before, lines...)
	default: // is no failure
	}
	return nil
}

// Close stops the heartbeat and returns the first error of writing.
func (r *Plain) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.p.close()
}

// printer writes lines with offsets and beats while it is quiet. Its owner
// guards it by a lock.
type printer struct {
	Options
	*teller
	beat   func()
	timer  *time.Timer
	last   time.Time // the time of the last event
	at     time.Time // when it came, by the clock of this process
	closed bool
	err    error
}

// heard notes that something has happened, and puts the heartbeat off.
func (p *printer) heard(e pipeline.Event) {
	p.last, p.at = e.Time, time.Now()
	if p.Heartbeat <= 0 {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(p.Heartbeat, p.beat)
		return
	}
	p.timer.Reset(p.Heartbeat)
}

func (p *printer) heartbeat() {
	if p.closed {
		return
	}
	silence := time.Since(p.at)
	if silence < p.Heartbeat {
		return // an event came in the same moment and has put it off
	}
	p.timer.Reset(p.Heartbeat)
	what := p.waiting
	if what == "" && p.stage != "" {
		what = "running"
	}
	if what == "" {
		return
	}
	text := prefix(clean(p.stage), ": ") + "still " + what + " (" + took(silence) + " without news)"
	p.write(offset(p.last.Add(silence).Sub(p.start)), line{text: text, tone: quiet})
}

func (p *printer) lines(e pipeline.Event, lines []line) {
	for _, l := range lines {
		p.write(offset(e.Time.Sub(p.start)), l)
	}
}

// where adds the place in the file to the end of a run that failed.
func (p *printer) where(e pipeline.Event) {
	if e.Type != pipeline.RunEnded || e.Result == nil {
		return
	}
	at := p.locate(e.Result.Stage)
	if found := errorsOf(e.Result.Findings); len(found) == 1 && found[0].Pos.IsValid() {
		at = Place{File: p.file(), Pos: found[0].Pos}
	}
	if at.Pos.IsValid() && at.File != "" {
		p.write("", line{text: fmt.Sprintf("at %s:%s", at.File, at.Pos), tone: quiet, under: true})
	}
}

func (p *printer) write(offset string, l line) {
	if l.under {
		p.raw(strings.Repeat(" ", 12) + p.paint(l.tone, noCommand(l.text)))
		return
	}
	p.raw(p.paint(quiet, fmt.Sprintf("%8s", offset)) + "  " + p.paint(l.tone, l.text))
}

func (p *printer) raw(text string) {
	if _, err := fmt.Fprintln(p.Out, text); err != nil && p.err == nil {
		p.err = fmt.Errorf("write report: %w", err)
	}
}

func (p *printer) close() error {
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	return p.err
}

// paint wraps text in the colour of its tone.
func (p *printer) paint(t tone, text string) string {
	code := ""
	switch t {
	case neutral:
	case quiet:
		code = "2"
	case good:
		code = "32"
	case bad:
		code = "1;31"
	case caution:
		code = "33"
	}
	if !p.Color || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
