package report

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// GitLab writes the log of a job of GitLab: a section for each stage, which
// people can close. GitLab decides at a section's start whether it is closed,
// and nobody knows then whether the stage will fail, so all are open; why a
// run failed stands last, outside of every section.
type GitLab struct {
	mu      sync.Mutex
	p       printer
	section string // the name of the open one
	title   string
	n       int
	last    time.Time
}

var _ Reporter = (*GitLab)(nil)

// NewGitLab returns a reporter for GitLab.
func NewGitLab(o Options) *GitLab {
	r := &GitLab{p: printer{Options: o, teller: newTeller(o.Verbose)}}
	r.p.beat = func() { r.mu.Lock(); defer r.mu.Unlock(); r.p.heartbeat() }
	return r
}

// Handle writes what there is to say about e.
func (r *GitLab) Handle(e pipeline.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = e.Time
	r.p.heard(e)
	lines := r.p.tell(e)
	switch {
	case e.Type == pipeline.StageStarted:
		r.open(e.Stage)
	case e.Type == pipeline.EvidenceFound:
		r.open("evidence: " + e.Stage)
	case endsGroup(e.Type):
		r.end()
	}
	r.p.lines(e, lines)
	r.p.where(e)
	if e.Type == pipeline.EvidenceFound {
		r.end()
	}
}

// endsGroup reports whether what is said of an event of that type must be
// seen when everything that can be closed is closed.
func endsGroup(t pipeline.EventType) bool {
	switch t {
	case pipeline.StagePassed, pipeline.StageFailed, pipeline.StageSkipped, pipeline.RunEnded,
		pipeline.RollingBack, pipeline.RolledBack, pipeline.Committed, pipeline.Interrupted:
		return true
	default: // belongs where it comes
		return false
	}
}

// Close ends what is open and returns the first error of writing.
func (r *GitLab) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	return r.p.close()
}

// open begins a section. Its name must be unique in the job's log.
func (r *GitLab) open(title string) {
	if r.section != "" && r.title == title {
		return // a run that was resumed starts its stage again
	}
	r.end()
	r.n++
	r.section, r.title = fmt.Sprintf("headgate_%d_%s", r.n, sectionName(title)), title
	r.p.raw(sectionMark("start", r.section, r.last) + r.p.paint(quiet, clean(title)))
}

func (r *GitLab) end() {
	if r.section != "" {
		r.p.raw(sectionMark("end", r.section, r.last))
		r.section = ""
	}
}

// sectionMark is what GitLab takes for the edge of a section. Text from
// outside cannot be one: its escape sequences and carriage returns are gone.
func sectionMark(edge, name string, at time.Time) string {
	return fmt.Sprintf("\x1b[0Ksection_%s:%d:%s\r\x1b[0K", edge, max(0, at.Unix()), name)
}

// maxSectionName bounds what is taken over from a title.
const maxSectionName = 60

// sectionName makes of a title what GitLab takes for the name of a section.
func sectionName(title string) string {
	var b strings.Builder
	for _, c := range []byte(title) {
		switch {
		case b.Len() == maxSectionName:
			return b.String()
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}
