package lines

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLines: whatever is written, in whatever pieces, lines are text without
// line ends, not longer than they may be, and the same for all pieces.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n10%\r20%\n\xff\x00"), 3)
	f.Add([]byte(strings.Repeat("x", Max+10)+"\n"), 1000)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		split := func(piece int) []string {
			var got []string
			l := &Writer{Emit: func(line string) { got = append(got, line) }}
			for rest := data; len(rest) > 0; {
				n := min(max(piece, 1), len(rest))
				if _, err := l.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			l.Flush()
			return got
		}
		whole, pieces := split(len(data)), split(piece)
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Errorf("got %q in pieces of %d, want %q", pieces, piece, whole)
		}
		for _, line := range whole {
			if strings.ContainsAny(line, "\n\r") || !utf8.ValidString(line) || len(line) > 3*Max+100 {
				t.Errorf("line %.80q", line)
			}
		}
	})
}
