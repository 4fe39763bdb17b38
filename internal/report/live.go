package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/headgate-dev/headgate/pipeline"
)

// LiveOptions are what [NewLive] needs beside [Options]. Out gets what stays
// on the screen after the end; Heartbeat has no meaning.
type LiveOptions struct {
	Options
	// Stages are the names of the pipeline's stages in their order, so that
	// those which have not begun are shown too; nil where they are not known.
	Stages []string
	// ASCII draws with ASCII alone, for terminals that have no more.
	ASCII bool
	// Background is the terminal's.
	Background Background
	// Environ is the environment, which says what the terminal can do.
	Environ []string
	// In and Screen are the terminal. Without a Screen nothing is drawn before
	// the end.
	In, Screen *os.File
	// Width is taken where the screen does not tell one; 0 means 80.
	Width int
	// Mask is applied to every line that is drawn; nil changes nothing.
	Mask func(string) string
}

// Live draws a run on a terminal while it goes on, in place and without
// another screen; at its Close what was seen last stays, with all that there
// is to say about a failure. It never keeps a run waiting for the terminal.
//
// The keyboard stays in the hands of the system, so that Ctrl-C is SIGINT as
// ever; only the echo is off, and Ctrl-Z, since a run that is halted in the
// middle helps nobody.
type Live struct {
	o LiveOptions

	mu sync.Mutex
	a  *account
	// at is when the last event came, by the clock of this process.
	at time.Time
	// above are lines to print over the frame, and held the last one while it
	// is not complete.
	above []string
	held  string
	gone  bool

	program  *tea.Program
	keyboard func()
	finished chan struct{}
	bad      error
}

var _ Reporter = (*Live)(nil)

// The limits of what a terminal that does not take its output may cost.
const (
	leaveTime = 2 * time.Second
	// maxAbove bounds the lines that wait to be printed above the frame.
	maxAbove = 1000
	// framesPerSecond is how often changes are drawn.
	framesPerSecond = 15
)

// NewLive begins to draw.
func NewLive(o LiveOptions) *Live {
	l := &Live{o: o, a: newAccount(o.Options), at: time.Now()}
	if o.Screen == nil {
		return l
	}
	l.keyboard = quietKeyboard(o.In)
	options := []tea.ProgramOption{
		tea.WithInput(nil), tea.WithOutput(o.Screen), tea.WithEnvironment(o.Environ),
		tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond), tea.WithColorProfile(l.profile()),
	}
	l.program = tea.NewProgram(screen{l: l}, options...)
	l.finished = make(chan struct{})
	go func() { // Close waits for it
		defer close(l.finished)
		_, l.bad = l.program.Run()
	}()
	return l
}

// profile is how many colours there are.
func (l *Live) profile() colorprofile.Profile {
	if !l.o.Color {
		return colorprofile.ASCII
	}
	var env []string // whether colours are wanted at all is decided already
	for _, pair := range l.o.Environ {
		if name, _, _ := strings.Cut(pair, "="); name != "NO_COLOR" && name != "CLICOLOR" {
			env = append(env, pair)
		}
	}
	return max(colorprofile.ANSI, colorprofile.Env(env))
}

// Handle takes e into account; it is drawn with the next frame.
func (l *Live) Handle(e pipeline.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.a.add(e)
	l.at = time.Now()
}

// Write prints whole lines above what is drawn. It is for what others have to
// say on the same terminal.
func (l *Live) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(l.held+string(b), "\n")
	l.held = lines[len(lines)-1]
	l.above = append(l.above, lines[:len(lines)-1]...)
	l.above = l.above[max(0, len(l.above)-maxAbove):]
	return len(b), nil
}

// Close ends the drawing and writes what stays on the screen. It returns the
// first thing that went wrong.
func (l *Live) Close() error {
	err := l.Leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.above
	if l.held != "" {
		lines = append(lines, l.held)
	}
	l.above, l.held = nil, ""
	if l.a.result != nil || len(l.a.stages) > 0 {
		v := l.view(size{width: l.width(), height: 1 << 20})
		lines = append(lines, v.final()...)
	}
	out := &colorprofile.Writer{Forward: l.o.Out, Profile: l.profile()}
	if len(lines) > 0 {
		_, bad := io.WriteString(out, strings.Join(lines, "\n")+"\n")
		if bad != nil && err == nil {
			err = fmt.Errorf("write report: %w", bad)
		}
	}
	return err
}

// Leave gives the terminal back as it was. It takes a short time only, also
// when the terminal takes nothing any more, and can be called again.
func (l *Live) Leave() error {
	l.mu.Lock()
	first := !l.gone
	l.gone = true
	l.mu.Unlock()
	if l.program == nil || !first {
		return nil
	}
	go l.program.Quit() // it waits for the terminal
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	select {
	case <-l.finished:
	case <-timer.C:
		l.keyboard()
		return errors.New("draw on the terminal: it takes no more output")
	}
	l.keyboard()
	if l.bad != nil {
		return fmt.Errorf("draw on the terminal: %w", l.bad)
	}
	return nil
}

// width is that of the terminal now.
func (l *Live) width() int {
	if w := widthOf(l.o.Screen); w > 0 {
		return w
	}
	if l.o.Width > 0 {
		return l.o.Width
	}
	return 80
}

// view is what there is to see now. The lock is held.
func (l *Live) view(s size) *view {
	return &view{painter: newPainter(l.o), a: l.a, o: l.o, size: s, now: l.a.ended.Add(time.Since(l.at))}
}

// screen is the model of the drawing; all that it shows is in Live.
type screen struct {
	l    *Live
	size size
}

// beat is when the screen looks whether something has changed.
type beat struct{}

func next() tea.Cmd { return tea.Tick(spinEvery, func(time.Time) tea.Msg { return beat{} }) }

// Init implements [tea.Model].
func (screen) Init() tea.Cmd { return next() }

// Update implements [tea.Model].
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.size = size{width: msg.Width, height: msg.Height}
	case beat:
		if lines := s.l.takeAbove(); len(lines) > 0 {
			return s, tea.Sequence(tea.Println(strings.Join(lines, "\n")), next())
		}
		return s, next()
	}
	return s, nil
}

// takeAbove returns the lines to print above the frame.
func (l *Live) takeAbove() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil // Close prints them
	}
	lines := l.above
	l.above = nil
	return lines
}

// View implements [tea.Model].
func (s screen) View() tea.View {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	var v tea.View
	v.DisableBracketedPasteMode = true // nothing is read
	if s.l.gone || s.size.width == 0 || s.l.a.started.IsZero() {
		return v
	}
	content := strings.Join(s.l.view(s.size).frame(), "\n")
	if s.l.o.Mask != nil {
		content = s.l.o.Mask(content)
	}
	v.SetContent(content)
	return v
}
