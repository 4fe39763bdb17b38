package cli

import (
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/headgate-dev/headgate/internal/report"
)

// live is the format that is drawn on a terminal.
const live = "live"

// drawable reports whether a run can be drawn where stdout goes to, without
// being asked for: on a terminal that knows more than lines, in the foreground,
// and with a person before it.
func (a *app) drawable() bool {
	screen := file(a.raw)
	if !a.Terminal || screen == nil || a.Getenv("CI") != "" || a.ci().format != "" {
		return false
	}
	name := a.Getenv("TERM")
	if name == "dumb" || name == "" && runtime.GOOS != "windows" {
		return false
	}
	return report.Foreground(screen)
}

// file returns the file behind a stream, nil where there is none.
func file(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}

// addLive returns what opens the view that is drawn.
func (a *app) addLive(of reported) func(*reporters, target, report.Options) error {
	return func(all *reporters, _ target, o report.Options) error {
		l := report.LiveOptions{
			Options: o, ASCII: a.asciiOnly(), Background: report.BackgroundOf(a.Getenv), Environ: a.Environ(), Mask: a.redactor.String,
		}
		if of.pipeline != nil {
			for _, st := range of.pipeline.Stages {
				l.Stages = append(l.Stages, st.Name)
			}
		}
		screen := file(a.raw)
		switch {
		case !of.live:
			l.Width = widthOf(screen)
		case !a.Terminal || screen == nil:
			return usagef("write --report plain, or leave it out", "--report live is drawn on a terminal, and stdout is none")
		default:
			l.Screen = screen
			if in := file(a.In); in != nil && term.IsTerminal(int(in.Fd())) {
				l.In = in
			}
		}
		r := report.NewLive(l)
		if l.Screen != nil {
			a.aside.drawn(r)
		}
		a.add(all, r)
		return nil
	}
}

// widthOf is the width of a terminal, 0 where it is none.
func widthOf(f *os.File) int {
	if f == nil {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// asciiOnly reports whether the terminal is said to have no more than ASCII.
// Where nothing is said, as in most containers, it has.
func (a *app) asciiOnly() bool {
	if a.Getenv("TERM") == "linux" { // its fonts lack the signs
		return true
	}
	locale := strings.ToLower(first(a.Getenv("LC_ALL"), a.Getenv("LC_CTYPE"), a.Getenv("LANG")))
	return locale != "" && !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8")
}

// aside is where stderr goes to: to itself, or above what is drawn on the same
// terminal.
type aside struct {
	mu   sync.Mutex
	to   io.Writer
	live *report.Live
}

// Write implements io.Writer.
func (s *aside) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		return s.live.Write(b)
	}
	return s.to.Write(b)
}

// drawn says what is drawn on the terminal from now on; nil is nothing.
func (s *aside) drawn(l *report.Live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = l
}

// leave gives the terminal back at once, for an end in the middle.
func (s *aside) leave() {
	s.mu.Lock()
	l := s.live
	s.live = nil
	s.mu.Unlock()
	if l != nil {
		_ = l.Leave() // the process ends
	}
}
