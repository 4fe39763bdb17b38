// Package redact keeps secrets out of what leaves the process: logs, reports,
// summaries, error messages.
//
// A [Redactor] knows the secrets' values and the forms they take on their way
// out: as they are, base64 at each of the three alignments, URL-encoded,
// escaped as JSON, as a Go or shell string, as HTML, in hexadecimal. It stands
// last before every output; a reporter that escapes text in ways of its own
// must let the text through [Redactor.String] before it escapes it.
package redact

import (
	"io"
	"slices"
	"strings"
	"sync"
)

// Mask is what stands where a secret was.
const Mask = "***"

const (
	// MinLength is the least length in bytes of a value that is masked. A
	// shorter one would tear every text to pieces and give itself away by it.
	MinLength = 4
	// minLine is the same for one line of a value with several lines: below
	// it are the lines that say nothing, such as "{".
	minLine = 8
	// minEncoded is the least length of an encoded form: what is shorter
	// meets ordinary words too often.
	minEncoded = 6
)

// Redactor masks secrets. The zero value knows none and lets everything pass.
// It is safe for concurrent use.
type Redactor struct {
	mu sync.RWMutex
	// forms holds what is looked for, by its first byte.
	forms [256][]string
	// known holds the same as a set.
	known map[string]bool
}

// New returns a Redactor of these secrets; see [Redactor.Add].
func New(secrets ...string) *Redactor {
	r := &Redactor{}
	r.Add(secrets...)
	return r
}

// Add makes secrets known. Values shorter than [MinLength] are not masked;
// [Maskable] tells them beforehand.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	for _, s := range secrets {
		for _, f := range forms(s) {
			if r.known[f] {
				continue
			}
			r.known[f] = true
			r.forms[f[0]] = append(r.forms[f[0]], f)
		}
	}
}

// String returns s with every secret in it masked.
func (r *Redactor) String(s string) string {
	if r == nil {
		return s
	}
	var b strings.Builder
	w := r.Writer(&b)
	_, _ = io.WriteString(w, s) // a strings.Builder does not fail
	_ = w.Flush()
	return b.String()
}

// Writer returns a writer that masks what goes to dst, also where a secret
// comes in several writes. It keeps back an end that may be the beginning of
// a secret until more is written or [Writer.Flush] is called.
func (r *Redactor) Writer(dst io.Writer) *Writer { return &Writer{r: r, dst: dst} }

// longestAt returns the length of the longest form that b begins with.
func (r *Redactor) longestAt(b []byte) int {
	n := 0
	for _, f := range r.forms[b[0]] {
		if len(f) > n && len(b) >= len(f) && string(b[:len(f)]) == f {
			n = len(f)
		}
	}
	return n
}

// unfinished reports whether b is the beginning of a form, but not all of it.
func (r *Redactor) unfinished(b []byte) bool {
	return slices.ContainsFunc(r.forms[b[0]], func(f string) bool {
		return len(b) < len(f) && f[:len(b)] == string(b)
	})
}

// Writer masks a stream. It is safe for concurrent use.
type Writer struct {
	r   *Redactor
	dst io.Writer

	mu   sync.Mutex
	held []byte
	// covered is how many bytes of held belong to a secret that has begun
	// before them and has been masked already.
	covered int
	// masking is set when the last thing written to dst was a mask, so that
	// secrets which touch or overlap leave one mask.
	masking bool
}

// Write masks p and writes as much as can be decided on.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	if err := w.emit(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was kept back.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.emit(true)
}

// emit masks and writes held up to the first place where a secret may have
// begun that is not there in full; all of it, when it is the end.
func (w *Writer) emit(end bool) error {
	w.r.mu.RLock()
	defer w.r.mu.RUnlock()
	out := make([]byte, 0, len(w.held))
	i := 0
	for ; i < len(w.held); i++ {
		rest := w.held[i:]
		if !end && w.r.unfinished(rest) {
			break
		}
		w.covered = max(w.covered, w.r.longestAt(rest))
		switch w.covered {
		case 0:
			out = append(out, w.held[i])
			w.masking = false
		default:
			w.covered--
			if !w.masking {
				out = append(out, Mask...)
				w.masking = true
			}
		}
	}
	w.held = append(w.held[:0], w.held[i:]...)
	if len(out) == 0 {
		return nil
	}
	_, err := w.dst.Write(out)
	return err
}
