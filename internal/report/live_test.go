package report_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
)

// drawing is a view that has nothing to be drawn on.
func drawing(o report.LiveOptions) *report.Live {
	o.Locate = locate
	o.Stages = []string{"unit", "image", "rollout", "settle", "new profile format"}
	return report.NewLive(o)
}

// upTo hands the first n events of a recorded run on, all with n 0.
func upTo(t *testing.T, run string, n int, to pipeline.Sink) {
	t.Helper()
	i := 0
	replay(t, "testdata/"+run+".jsonl", handler(func(e pipeline.Event) {
		if i++; n == 0 || i <= n {
			to.Handle(e)
		}
	}))
}

type handler func(pipeline.Event)

func (h handler) Handle(e pipeline.Event) { h(e) }

func TestFramesShowWhatGoesOn(t *testing.T) {
	for _, tc := range []struct {
		name, run string
		events    int
		after     time.Duration
	}{
		{"test", "ramp", 7, 2 * time.Second},
		{"build", "ramp", 15, 2 * time.Second},
		{"too-early", "ramp", 30, 3 * time.Second},
		{"pause", "ramp", 95, 20 * time.Second},
		{"finish", "ramp", 172, 4 * time.Second},
		{"waiting", "never-ready", 27, 5 * time.Second},
		{"judged-bad", "rolled-back", 20, 0},
		{"rolling-back", "rolled-back", 24, time.Second},
		{"cancelled", "cancelled", 20, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := drawing(report.LiveOptions{})
			upTo(t, tc.run, tc.events, l)
			var all bytes.Buffer
			for _, s := range []struct{ width, height int }{{80, 24}, {40, 20}, {200, 50}} {
				fmt.Fprintf(&all, "-- %dx%d --\n%s", s.width, s.height, l.Frame(s.width, s.height, tc.after))
			}
			golden.Equal(t, "live/"+tc.name+".txt", all.Bytes())

			l = drawing(report.LiveOptions{Options: report.Options{Color: true}})
			upTo(t, tc.run, tc.events, l)
			golden.Equal(t, "live/"+tc.name+".color", []byte(l.Frame(80, 24, tc.after)))
		})
	}
}

func TestTheEndStaysOnTheScreen(t *testing.T) {
	for _, run := range []string{"ramp", "delivered", "rolled-back", "never-ready", "cancelled", "killed-and-resumed", "needs-a-person", "not-finished", "preflight", "failed-unchanged"} {
		t.Run(run, func(t *testing.T) {
			l := drawing(report.LiveOptions{})
			upTo(t, run, 0, l)
			var all bytes.Buffer
			for _, width := range []int{80, 40, 200} {
				fmt.Fprintf(&all, "-- %d --\n%s", width, l.Final(width))
			}
			golden.Equal(t, "live/"+run+".final", all.Bytes())

			var color bytes.Buffer
			l = drawing(report.LiveOptions{Options: report.Options{Color: true, Out: &color}, Environ: []string{"TERM=xterm-256color"}})
			upTo(t, run, 0, l)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			golden.Equal(t, "live/"+run+".final.color", color.Bytes())
		})
	}
}

func TestColoursFollowTheBackground(t *testing.T) {
	for value, want := range map[string]report.Background{
		"15;0": report.DarkBackground, "0;15": report.LightBackground, "0;default;15": report.LightBackground,
		"7;8": report.DarkBackground, "0;7": report.LightBackground, "": report.UnknownBackground, "15;default": report.UnknownBackground, "1;99": report.UnknownBackground,
	} {
		if got := report.BackgroundOf(func(string) string { return value }); got != want {
			t.Errorf("COLORFGBG=%q: got %v, want %v", value, got, want)
		}
	}
	seen := map[string]report.Background{}
	for _, b := range []report.Background{report.UnknownBackground, report.DarkBackground, report.LightBackground} {
		l := drawing(report.LiveOptions{Options: report.Options{Color: true}, Background: b})
		upTo(t, "ramp", 95, l)
		frame := l.Frame(80, 24, 0)
		if before, ok := seen[frame]; ok {
			t.Errorf("backgrounds %v and %v look alike", before, b)
		}
		seen[frame] = b
	}
}

func TestASCIIFramesHoldNothingElse(t *testing.T) {
	for _, run := range []string{"ramp", "rolled-back", "never-ready", "needs-a-person"} {
		l := drawing(report.LiveOptions{ASCII: true})
		upTo(t, run, 0, l)
		for _, r := range l.Final(80) + l.Frame(40, 10, 0) {
			if r > unicode.MaxASCII {
				t.Errorf("%s: %q is not ASCII", run, r)
			}
		}
	}
}

func TestTheStageThatRunsIsSeenOnEveryScreen(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("stage-%02d", i))
	}
	l := report.NewLive(report.LiveOptions{Stages: names})
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for i := range 60 {
		l.Handle(pipeline.Event{Time: at, Type: pipeline.StageStarted, Stage: names[i]})
		l.Handle(pipeline.Event{Time: at, Type: pipeline.Output, Stage: names[i], Message: "a line of " + names[i]})
		for _, height := range []int{4, 8, 12, 24, 50} {
			frame := l.Frame(80, height, 0)
			if !strings.Contains(frame, names[i]) {
				t.Fatalf("height %d: %s is not seen in\n%s", height, names[i], frame)
			}
			if n := strings.Count(frame, "\n"); n >= height {
				t.Fatalf("height %d: %d lines", height, n)
			}
		}
		l.Handle(pipeline.Event{Time: at, Type: pipeline.StagePassed, Stage: names[i]})
	}
}

// On the smallest screens what says that there is more gives way, too.
func TestTheStageThatRunsIsSeenBesideWhatItWaitsFor(t *testing.T) {
	l := report.NewLive(report.LiveOptions{Stages: []string{"one", "two", "three", "four", "five", "six"}})
	l.Handle(pipeline.Event{Type: pipeline.StagePassed, Stage: "one"})
	l.Handle(pipeline.Event{Type: pipeline.StagePassed, Stage: "two"})
	l.Handle(pipeline.Event{Type: pipeline.StageStarted, Stage: "three"})
	l.Handle(pipeline.Event{Type: pipeline.Progress, Stage: "three", Message: "running in bash --noprofile"})
	for height := 3; height < 14; height++ {
		for _, width := range []int{20, 40, 80} {
			if frame := l.Frame(width, height, 0); !strings.Contains(frame, "three") {
				t.Errorf("%d × %d: the stage is not seen in\n%s", width, height, frame)
			}
		}
	}
}

func TestAFailedStageShowsTheEndOfItsOutput(t *testing.T) {
	l := report.NewLive(report.LiveOptions{})
	l.Handle(pipeline.Event{Type: pipeline.StageStarted, Stage: "unit"})
	for i := range 5_000 {
		l.Handle(pipeline.Event{Type: pipeline.Output, Stage: "unit", Message: fmt.Sprintf("line %d", i)})
	}
	l.Handle(pipeline.Event{Type: pipeline.StageFailed, Stage: "unit", Reason: "bash ended with exit code 1"})
	l.Handle(pipeline.Event{Type: pipeline.RunEnded, Result: &pipeline.Result{Ending: pipeline.FailedUnchanged, Stage: "unit"}})
	final := l.Final(80)
	for _, want := range []string{"the last 200 of 5000 lines", "line 4800\n", "line 4999\n"} {
		if !strings.Contains(final, want) {
			t.Errorf("%q is missing in\n%s", want, final)
		}
	}
	if strings.Contains(final, "line 4799\n") {
		t.Error("more lines than said")
	}
}

func TestASpikeStaysSeenForHours(t *testing.T) {
	l := report.NewLive(report.LiveOptions{})
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	most := 5.0
	l.Handle(pipeline.Event{Time: at, Type: pipeline.StageStarted, Stage: "rollout"})
	for i := range 4_000 {
		v, outcome := 0.2, pipeline.Pass
		if i == 1400 {
			v, outcome = 7, pipeline.Fail
		}
		l.Handle(pipeline.Event{Time: at.Add(time.Duration(i) * time.Second), Type: pipeline.Judged, Stage: "rollout", Verdict: &pipeline.Verdict{
			Gate: "slo", Outcome: outcome, Evidence: []pipeline.Measurement{{Check: "errorRate", Outcome: outcome, Result: "value", Value: &v, Max: &most, Unit: "%"}},
		}})
		l.Handle(pipeline.Event{Time: at, Type: pipeline.Progress, Stage: "rollout", Message: "pause"})
	}
	for _, width := range []int{60, 80, 200} {
		frame := l.Frame(width, 24, 0)
		if n := strings.Count(frame, "█"); n != 1 {
			t.Errorf("width %d: got %d full blocks, want that of the spike\n%s", width, n, frame)
		}
	}
}

func TestWhatOthersSayIsPrintedBeforeTheEnd(t *testing.T) {
	var out bytes.Buffer
	l := report.NewLive(report.LiveOptions{Options: report.Options{Out: &out}})
	fmt.Fprint(l, "headgate: note: interr")
	fmt.Fprint(l, "upt\nand no line")
	upTo(t, "cancelled", 0, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "headgate: note: interrupt\nand no line\n") {
		t.Errorf("got %q", out.String())
	}
}

// Whatever was handled, a frame fits the terminal and holds no sequence of
// somebody else's.
func FuzzFrame(f *testing.F) {
	for _, run := range []string{"rolled-back", "never-ready"} {
		b, err := os.ReadFile("testdata/" + run + ".jsonl")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(80), uint8(24))
	}
	f.Add([]byte(`{"time":"2026-03-02T09:30:00Z","type":"output","stage":"\u001b[2J","message":"\u001b]0;x\u0007\u009b31m\r\n界界"}`), uint8(3), uint8(1))
	f.Add([]byte(`{"time":"2026-03-02T09:30:00Z","type":"judged","stage":"a","verdict":{"gate":"g","outcome":"fail","evidence":[{"check":"c","outcome":"fail","result":"value","value":-1e308,"min":1e308,"unit":"s"}]}}`), uint8(200), uint8(50))
	f.Fuzz(func(t *testing.T, text []byte, width, height uint8) {
		for _, color := range []bool{false, true} {
			l := report.NewLive(report.LiveOptions{Options: report.Options{Color: color, Verbose: true}, Stages: []string{"a"}})
			_ = report.Read(bytes.NewReader(text), l.Handle) // an error is as good as events
			frame := l.Frame(int(width), int(height), time.Second)
			lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
			if len(lines) > max(int(height)-1, 3) {
				t.Errorf("%d lines in a height of %d", len(lines), height)
			}
			for _, line := range lines {
				if w := ansi.StringWidth(line); w > int(width) {
					t.Errorf("%q is wider than %d", line, width)
				}
			}
			for _, text := range []string{frame, l.Final(int(width))} {
				checkHarmless(t, text, color)
			}
		}
	})
}

// checkHarmless reports all control characters but line ends and, where they
// are allowed, colours.
func checkHarmless(t *testing.T, text string, color bool) {
	t.Helper()
	for i := 0; i < len(text); i++ {
		if text[i] == 0x1b && color {
			end := strings.IndexByte(text[i:], 'm')
			if end > 0 && strings.Trim(text[i+1:i+end], "[0123456789;") == "" {
				i += end
				continue
			}
		}
		if text[i] < ' ' && text[i] != '\n' || text[i] == 0x7f {
			t.Fatalf("control character %q in %q", text[i], text)
		}
	}
	for _, r := range text {
		if r >= 0x80 && r < 0xa0 {
			t.Fatalf("control character %q in %q", r, text)
		}
	}
}
