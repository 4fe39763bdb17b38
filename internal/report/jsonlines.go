package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/headgate-dev/headgate/pipeline"
)

// maxEvent bounds the length of one line of JSON, in bytes.
const maxEvent = 4 << 20

// JSONLines writes every event as one line of JSON, but for what things were
// before their first change: that is the journal's, which only those can read
// who may put them back. A Deployment may have passwords in its environment.
type JSONLines struct {
	mu  sync.Mutex
	out io.Writer
	err error
}

var _ Reporter = (*JSONLines)(nil)

// NewJSONLines returns a reporter that writes to out.
func NewJSONLines(out io.Writer) *JSONLines { return &JSONLines{out: out} }

// Handle writes e.
func (r *JSONLines) Handle(e pipeline.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Change != nil && e.Change.Was != nil {
		c := *e.Change
		c.Was, e.Change = nil, &c
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("write JSON lines: %w", err)
	}
}

// Close returns the first error of writing.
func (r *JSONLines) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Read calls handle for every event in JSON lines. An end that was cut off is
// left out; everything else that is no event is an error with its line.
func Read(in io.Reader, handle func(pipeline.Event)) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxEvent)
	// cut keeps a line that did not decode until another one shows that it
	// was not the last.
	var cut error
	for n := 1; scan.Scan(); n++ {
		text := bytes.TrimSpace(scan.Bytes())
		if len(text) == 0 {
			continue
		}
		if cut != nil {
			return cut
		}
		var e pipeline.Event
		if err := json.Unmarshal(text, &e); err != nil {
			cut = fmt.Errorf("read events: line %d: %w", n, err)
			if n == 1 {
				return cut
			}
			continue
		}
		if e.Type == "" {
			return fmt.Errorf("read events: line %d: no event: it has no type", n)
		}
		handle(e)
	}
	if err := scan.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("read events: a line is longer than %d bytes", maxEvent)
	} else if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}
