// Package lines makes lines of what programs write.
package lines

import (
	"bytes"
	"fmt"
	"strings"
)

// Max bounds one line of output, in bytes; the rest of it is cut off.
const Max = 64 << 10

// Writer is a writer that hands on whole lines, as a person at a terminal
// would see them in the end: of a line overwritten by carriage returns the
// last state, and no bytes that are not text.
type Writer struct {
	// Emit is called with each line, without its end.
	Emit func(line string)

	buf []byte
	cut int // bytes of the present line that were left away
}

// Write takes the next piece of output.
func (l *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for {
		at := bytes.IndexByte(p, '\n')
		if at < 0 {
			l.keep(p)
			return n, nil
		}
		l.keep(p[:at])
		l.end()
		p = p[at+1:]
	}
}

func (l *Writer) keep(p []byte) {
	room := Max - len(l.buf)
	if len(p) > room {
		l.cut += len(p) - room
		p = p[:room]
	}
	l.buf = append(l.buf, p...)
}

func (l *Writer) end() {
	text := strings.TrimRight(string(l.buf), "\r")
	text = text[strings.LastIndexByte(text, '\r')+1:]
	text = strings.ToValidUTF8(text, "\uFFFD")
	if l.cut > 0 {
		text += fmt.Sprintf(" … (%d more bytes)", l.cut)
	}
	l.Emit(text)
	l.buf, l.cut = l.buf[:0], 0
}

// Flush emits a last line that has no line end.
func (l *Writer) Flush() {
	if len(l.buf) > 0 || l.cut > 0 {
		l.end()
	}
}
