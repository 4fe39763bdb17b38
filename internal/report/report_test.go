package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/redact"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func locate(stage string) report.Place {
	lines := map[string]int{"unit": 31, "image": 33, "rollout": 35}
	if lines[stage] == 0 {
		return report.Place{File: "deploy/headgate.yaml"}
	}
	return report.Place{File: "deploy/headgate.yaml", Pos: source.Pos{Line: lines[stage], Col: 5}}
}

// runs are the recorded runs in testdata.
func runs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded runs: %v", err)
	}
	return files
}

func replay(t *testing.T, path string, to pipeline.Sink) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := report.Read(f, to.Handle); err != nil {
		t.Fatal(err)
	}
}

func TestRunsAreReported(t *testing.T) {
	for _, path := range runs(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		t.Run(name, func(t *testing.T) {
			for suffix, make := range views() {
				var out bytes.Buffer
				r := make(report.Options{Out: &out, Locate: locate, Run: pipeline.Info{ID: "8412.1", Pipeline: "user-service"}})
				replay(t, path, r)
				if err := r.Close(); err != nil {
					t.Errorf("%s: %v", suffix, err)
				}
				golden.Equal(t, name+suffix, out.Bytes())
			}
			env := map[string]string{"GITHUB_STEP_SUMMARY": filepath.Join(t.TempDir(), "summary"), "GITHUB_OUTPUT": filepath.Join(t.TempDir(), "output")}
			var gha bytes.Buffer
			tokens := 0
			g := report.NewGitHub(report.GitHubOptions{
				Options: report.Options{Out: &gha, Locate: locate, Run: pipeline.Info{ID: "8412.1", Pipeline: "user-service"}},
				Getenv:  func(k string) string { return env[k] },
				Token:   func() string { tokens++; return fmt.Sprintf("token%d", tokens) },
			})
			replay(t, path, g)
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			golden.Equal(t, name+".gha", gha.Bytes())
			golden.Equal(t, name+".summary.md", read(t, env["GITHUB_STEP_SUMMARY"]))
			golden.Equal(t, name+".output", read(t, env["GITHUB_OUTPUT"]))
		})
	}
}

// views are the reporters that need nothing but options, by the ends of their
// goldens. A recorded run is its own golden for JSON lines.
func views() map[string]func(report.Options) report.Reporter {
	return map[string]func(report.Options) report.Reporter{
		".plain":     func(o report.Options) report.Reporter { return report.NewPlain(o) },
		".gitlab":    func(o report.Options) report.Reporter { return report.NewGitLab(o) },
		".junit.xml": func(o report.Options) report.Reporter { return report.NewJUnit(o) },
		".dotenv":    func(o report.Options) report.Reporter { return report.NewDotenv(o) },
		".jsonl":     func(o report.Options) report.Reporter { return report.NewJSONLines(o.Out) },
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJSONLinesAreReadAsTheyWereWritten(t *testing.T) {
	for _, path := range runs(t) {
		var first, second bytes.Buffer
		replay(t, path, report.NewJSONLines(&first))
		if err := report.Read(bytes.NewReader(first.Bytes()), report.NewJSONLines(&second).Handle); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Errorf("%s: what was written is not what was read", path)
		}
	}
}

func TestReadToleratesOnlyATornEnd(t *testing.T) {
	const whole = `{"time":"2026-03-02T09:30:00Z","type":"finished"}` + "\n"
	for _, tc := range []struct{ name, in, want string }{
		{"whole", whole + whole, ""},
		{"empty", "", ""},
		{"torn end", whole + `{"time":"2026-03-`, ""},
		{"torn middle", whole + "{\"time\":\"20\n" + whole, "read events: line 2: unexpected end of JSON input"},
		{"not JSON at all", "version: 1\n", "read events: line 1: invalid character 'v' looking for beginning of value"},
		{"no event", "{}\n", "read events: line 1: no event: it has no type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := report.Read(strings.NewReader(tc.in), func(pipeline.Event) {})
			if got := fmt.Sprint(err); err != nil && got != tc.want || err == nil && tc.want != "" {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHeartbeatSaysWhatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := report.NewPlain(report.Options{Out: &out, Heartbeat: 30 * time.Second})
		tell := func(e pipeline.Event) { e.Time = time.Now(); r.Handle(e) }
		tell(pipeline.Event{Type: pipeline.RunStarted, Run: &pipeline.Info{ID: "1", Pipeline: "p"}})
		time.Sleep(time.Minute) // nothing runs: nothing to say
		tell(pipeline.Event{Type: pipeline.StageStarted, Stage: "unit"})
		time.Sleep(31 * time.Second)
		tell(pipeline.Event{Type: pipeline.Progress, Stage: "unit", Message: "waiting for pods"})
		time.Sleep(61 * time.Second)
		tell(pipeline.Event{Type: pipeline.StagePassed, Stage: "unit"})
		time.Sleep(time.Minute)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		golden.Equal(t, "heartbeat.txt", out.Bytes())
	})
}

func TestColor(t *testing.T) {
	for _, tc := range []struct {
		name, mode, env string
		terminal, want  bool
	}{
		{"terminal", "auto", "", true, true},
		{"pipe", "auto", "", false, false},
		{"dumb terminal", "auto", "TERM=dumb", true, false},
		{"NO_COLOR", "auto", "NO_COLOR=1", true, false},
		{"NO_COLOR is stronger", "auto", "NO_COLOR=1 FORCE_COLOR=1 GITHUB_ACTIONS=true", true, false},
		{"FORCE_COLOR", "auto", "FORCE_COLOR=1", false, true},
		{"FORCE_COLOR=0", "auto", "FORCE_COLOR=0", false, false},
		{"GitHub", "auto", "GITHUB_ACTIONS=true", false, true},
		{"always", "always", "NO_COLOR=1", false, true},
		{"never", "never", "FORCE_COLOR=1", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := map[string]string{}
			for pair := range strings.FieldsSeq(tc.env) {
				k, v, _ := strings.Cut(pair, "=")
				env[k] = v
			}
			if got := report.Color(tc.mode, func(k string) string { return env[k] }, tc.terminal); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestColoursFollowTheOutcome(t *testing.T) {
	var out bytes.Buffer
	r := report.NewPlain(report.Options{Out: &out, Color: true})
	replay(t, "testdata/rolled-back.jsonl", r)
	golden.Equal(t, "rolled-back.color", out.Bytes())
}

func TestSecretsAreGoneBeforeReportersEscape(t *testing.T) {
	const secret = "pa|ss*wo`rd"
	out := &sink{}
	s := report.Redacted(out, redact.New(secret))
	w := 1.0
	event := pipeline.Event{
		Type: pipeline.Changing, Name: secret, Reason: secret, Message: "x" + secret, Weight: &w,
		Change:  &pipeline.Record{Thing: pipeline.Thing{Kind: "flag", Name: secret}, Key: secret, Was: json.RawMessage(`{"a":["` + secret + `",12345678901234567890]}`), To: json.RawMessage(`not json ` + secret)},
		Outputs: map[string]string{"o": secret},
		Verdict: &pipeline.Verdict{Reason: secret, Evidence: []pipeline.Measurement{{Query: secret, Reason: secret, Bound: secret}}},
		Run:     &pipeline.Info{URL: secret, Branch: secret},
		Result:  &pipeline.Result{Reason: secret, Hint: secret},
	}
	s.Handle(event)
	if event.Outputs["o"] != secret || event.Run.URL != secret {
		t.Error("the event itself was changed; others share it")
	}
	if was := string(out.events[0].Change.Was); was != `{"a":["***",12345678901234567890]}` {
		t.Errorf("was: got %s", was)
	}
	b, err := json.Marshal(out.events[0])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "wo`rd") {
		t.Errorf("the secret went through: %s", b)
	}
}

type sink struct{ events []pipeline.Event }

func (s *sink) Handle(e pipeline.Event) { s.events = append(s.events, e) }

func TestEveryEventTypeAndEndingHasWords(t *testing.T) {
	for _, e := range pipeline.Endings() {
		if strings.Contains(report.Outcome(e), "ending(") {
			t.Errorf("no words for %d", e)
		}
	}
}

// No bytes make reading panic, and what is read can be written again.
func FuzzRead(f *testing.F) {
	b, err := os.ReadFile("testdata/rolled-back.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("{\"type\":\"judged\",\"verdict\":{\"outcome\":\"pass\"}}\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var plain, lines bytes.Buffer
		r := report.NewPlain(report.Options{Out: &plain})
		s := report.NewSummary(report.Options{Out: &plain})
		j := report.NewJSONLines(&lines)
		n := 0
		_ = report.Read(bytes.NewReader(text), func(e pipeline.Event) { // an error is as good as events
			n++
			r.Handle(e)
			s.Handle(e)
			j.Handle(e)
		})
		if err := errors.Join(r.Close(), s.Close(), j.Close()); err != nil {
			return // such as a time that JSON cannot hold
		}
		again := 0
		if err := report.Read(&lines, func(pipeline.Event) { again++ }); err != nil || again != n {
			t.Errorf("%d events became %d: %v", n, again, err)
		}
	})
}

func TestWhatThingsWereStaysInTheJournal(t *testing.T) {
	var out strings.Builder
	r := report.NewJSONLines(&out)
	e := pipeline.Event{Type: pipeline.Changing, Change: &pipeline.Record{
		Thing: pipeline.Thing{Kind: "deployment", Name: "shop/user"}, Key: "take the release",
		Was: []byte(`{"env":[{"name":"PASSWORD","value":"hunter2"}]}`), To: []byte(`{"image":"new"}`),
	}}
	r.Handle(e)
	if text := out.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "take the release") || e.Change.Was == nil {
		t.Errorf("got %s", text)
	}
}
