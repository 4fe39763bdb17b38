package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxLine bounds one line of output, in bytes; the rest of it is cut off.
const maxLine = 64 << 10

// lines is a writer that hands on whole lines, as a person at a terminal
// would see them in the end: of a line overwritten by carriage returns the
// last state, and no bytes that are not text.
type lines struct {
	emit func(line string)
	buf  []byte
	cut  int // bytes of the present line that were left away
}

// Write takes the next piece of output.
func (l *lines) Write(p []byte) (int, error) {
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

func (l *lines) keep(p []byte) {
	room := maxLine - len(l.buf)
	if len(p) > room {
		l.cut += len(p) - room
		p = p[:room]
	}
	l.buf = append(l.buf, p...)
}

func (l *lines) end() {
	text := strings.TrimRight(string(l.buf), "\r")
	text = text[strings.LastIndexByte(text, '\r')+1:]
	text = strings.ToValidUTF8(text, "\uFFFD")
	if l.cut > 0 {
		text += fmt.Sprintf(" … (%d more bytes)", l.cut)
	}
	l.emit(text)
	l.buf, l.cut = l.buf[:0], 0
}

// flush emits a last line that has no line end.
func (l *lines) flush() {
	if len(l.buf) > 0 || l.cut > 0 {
		l.end()
	}
}

// isClosed reports whether err only says that reading was ended by us.
func isClosed(err error) bool { return errors.Is(err, os.ErrClosed) }
