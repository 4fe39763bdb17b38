package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/headgate-dev/headgate/pipeline"
)

// format is the first line of a journal, so that a program older than the
// journal it finds says so instead of reading half of what is meant.
const format = "headgate-journal/1"

// Bounds on what is read and written, in bytes.
const (
	maxEntry   = 4 << 20
	maxJournal = 128 << 20
)

// ErrTooLarge is wrapped by errors about entries and journals that are larger
// than their store can hold.
var ErrTooLarge = errors.New("too large for the journal")

// CorruptError reports a journal that cannot be read.
type CorruptError struct {
	// Place names the file or object, Line the line in it, counted from 1.
	Place string
	Line  int
	// Err says what is wrong with it.
	Err error
}

// Error names place and line.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("read journal: %s line %d: %v", e.Place, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Hint says what a person can do.
func (e *CorruptError) Hint() string {
	return "compare what is live with what it should be, put the rest right by hand, then move the journal away"
}

// header returns the first line of a journal, with its line end.
func header() []byte { return []byte(`{"format":"` + format + `"}` + "\n") }

// encode returns the event as one line, with its line end.
func encode(e pipeline.Event) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode journal entry %s: %w", e.Type, err)
	}
	if b.Len() > maxEntry {
		return nil, fmt.Errorf("encode journal entry %s: %d bytes: %w", e.Type, b.Len(), ErrTooLarge)
	}
	return b.Bytes(), nil
}

// decode reads a journal. It returns the events and how many bytes of data
// they and the header take; what follows is an entry without its line end,
// torn by the death of its writer. Place names the journal in errors.
func decode(place string, data []byte) (events []pipeline.Event, whole int, err error) {
	for line := 1; whole < len(data); line++ {
		n := bytes.IndexByte(data[whole:], '\n')
		if n < 0 {
			return events, whole, nil
		}
		text := data[whole : whole+n]
		whole += n + 1
		if line == 1 {
			err = decodeHeader(text)
		} else {
			var e pipeline.Event
			e, err = decodeEvent(text)
			events = append(events, e)
		}
		if err != nil {
			return nil, 0, &CorruptError{Place: place, Line: line, Err: err}
		}
	}
	return events, whole, nil
}

func decodeHeader(text []byte) error {
	var h struct {
		Format string `json:"format"`
	}
	if err := strict(text, &h); err != nil {
		return fmt.Errorf("not the start of a journal: %w", err)
	}
	if h.Format != format {
		return fmt.Errorf("format %q, where this version of headgate reads %q", h.Format, format)
	}
	return nil
}

func decodeEvent(text []byte) (pipeline.Event, error) {
	var e pipeline.Event
	if err := strict(text, &e); err != nil {
		return pipeline.Event{}, err
	}
	if e.Type == "" {
		return pipeline.Event{}, errors.New("entry has no type")
	}
	return e, nil
}

// strict decodes one JSON value and refuses unknown names: what is not
// understood must not be dropped from a journal.
func strict(text []byte, into any) error {
	if len(text) > maxEntry {
		return ErrTooLarge
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("not a whole JSON value")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
