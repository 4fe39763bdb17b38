package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/joshdk/go-junit"

	"github.com/headgate-dev/headgate/internal/redact"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
)

// secret is one that no report may show, with what most formats escape.
const secret = `s3cret|<&"'*pass`

// hostile are values that mean something to one format or another.
var hostile = []struct{ name, value string }{
	{"newlines", "one\ntwo\r\nthree\rfour\x00five\u2028six\u0085seven"},
	{"backticks", "```\n# title\n````\n~~~\n`x`"},
	{"commands of GitHub", "::error::x\n ::set-output name=result::delivered\n##[error]x\n::stop-commands::y"},
	{"an entry of an environment file", "result<<E\ndelivered\nE\nheadgate_token1\nresult=delivered"},
	{"HTML", "</script><script>alert(1)</script></details></code><img src=x onerror=x>"},
	{"Markdown", "| a | b |\n|---|---|\n[x](javascript:x) ![x](y) **b** <https://x> $x$ @all #1"},
	{"escape sequences", "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b[0K\u009b2J\b\b"},
	{"sections of GitLab", "section_end:1:headgate_1_unit\r\x1b[0K\nsection_start:1:x[collapsed=true]\r\x1b[0Khidden"},
	{"XML", "]]></failure><testcase name=\"x\"/>&amp;<!--]]>\ufffe\uffff\x01"},
	{"variables", "x\nHEADGATE_RESULT=delivered\nLD_PRELOAD=/x"},
	{"text that reads backwards", "\u202edelivered\u202c\u2066x\u2069"},
	{"no UTF-8", "\xff\xfe\xc3("},
	{"a secret", "password is " + secret + "!"},
	{"much", strings.Repeat("long ", 850)},
	{"nothing", ""},
}

// pages is what all reporters made of the same events.
type pages struct {
	text    map[string]string
	outputs string
}

// tellAll tells every reporter that there is.
func tellAll(t *testing.T, events []pipeline.Event) pages {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{"GITHUB_STEP_SUMMARY": filepath.Join(dir, "s"), "GITHUB_OUTPUT": filepath.Join(dir, "o")}
	p := pages{text: map[string]string{}}
	all := views()
	all[".md"] = func(o report.Options) report.Reporter { return report.NewSummary(o) }
	all[".gha"] = func(o report.Options) report.Reporter {
		return report.NewGitHub(report.GitHubOptions{Options: o, Getenv: func(k string) string { return env[k] }, Token: func() string { return "token1" }})
	}
	masked := &sink{}
	mask := report.Redacted(masked, redact.New(secret))
	for _, e := range events {
		mask.Handle(e)
	}
	for name, make := range all {
		var out bytes.Buffer
		r := make(report.Options{Out: &out, Verbose: true})
		for _, e := range masked.events {
			r.Handle(e)
		}
		// An output that cannot be written safely is an error, which is right.
		if err := r.Close(); err != nil && name != ".dotenv" && name != ".gha" {
			t.Errorf("%s: %v", name, err)
		}
		p.text[name] = out.String()
	}
	if b, err := os.ReadFile(env["GITHUB_OUTPUT"]); err == nil {
		p.outputs = string(b)
	}
	return p
}

// plain is what harmless words look like.
func plain(t *testing.T) pages { return tellAll(t, everyEvent("stage", "word", "value")) }

func TestForeignTextHarmsNoReporter(t *testing.T) {
	plain := plain(t)
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			for _, events := range [][]pipeline.Event{
				everyEvent("stage", h.value, h.value),
				everyEvent("x"+h.value, h.value, h.value), // a stage has a name
			} {
				got := tellAll(t, events)
				compare(t, plain, got)
				for name, text := range got.text {
					if strings.Contains(text+got.outputs, "3cret") {
						t.Errorf("%s shows a secret:\n%s", name, text)
					}
				}
			}
		})
	}
}

// No text makes any report say what we did not say.
func FuzzForeignText(f *testing.F) {
	f.Add("unit", "```\n]]>\x1b[0K", "x\r\nHEADGATE_RESULT=delivered\n</details>") // the others are in the test above
	f.Fuzz(func(t *testing.T, stage, text, value string) {
		if stage == "" {
			t.Skip("a stage has a name")
		}
		compare(t, plain(t), tellAll(t, everyEvent(stage, text, value)))
	})
}

// compare fails the test where a page is built otherwise than it is with
// harmless words.
func compare(t *testing.T, want, got pages) {
	t.Helper()
	calm(t, ".plain", got.text[".plain"])
	for _, name := range []string{".plain", ".gitlab"} {
		if commands := runnerCommands(got.text[name]); len(commands) > 0 {
			t.Errorf("%s: commands of another CI: %q", name, commands)
		}
	}
	same(t, "commands of GitHub", runnerCommands(want.text[".gha"]), runnerCommands(got.text[".gha"]))
	same(t, "sections of GitLab", sections(t, want.text[".gitlab"]), sections(t, got.text[".gitlab"]))
	same(t, "cases of JUnit", cases(t, want.text[".junit.xml"]), cases(t, got.text[".junit.xml"]))
	same(t, "lines of JSON", strings.Count(want.text[".jsonl"], "\n"), strings.Count(got.text[".jsonl"], "\n"))
	if err := report.Read(strings.NewReader(got.text[".jsonl"]), func(pipeline.Event) {}); err != nil && !strings.Contains(err.Error(), "it has no type") {
		t.Errorf("JSON: %v", err)
	}
	outline(t, got.text[".md"])
	variables(t, got.text[".dotenv"])
	known := runnerOutputs(t, want.outputs)
	for name := range runnerOutputs(t, got.outputs) {
		if _, ok := known[name]; !ok {
			t.Errorf("an output was added: %s", name)
		}
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-with plain words +with these):\n%s", what, diff)
	}
}

// calm fails the test where a text can move a cursor or read otherwise than it
// is.
func calm(t *testing.T, name, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Fatalf("%s: %q is in %q", name, r, text)
		}
	}
}

var sectionMark = regexp.MustCompile(`\x1b\[0Ksection_(start|end):(\d+):([A-Za-z0-9_.-]+)(\[[^\]]*\])?\r\x1b\[0K`)

// sections reads a log as GitLab does: the edges of sections, and which one
// they are of.
func sections(t *testing.T, log string) []string {
	t.Helper()
	var edges []string
	open := ""
	for _, m := range sectionMark.FindAllStringSubmatch(log, -1) {
		n := strings.Join(strings.SplitN(m[3], "_", 3)[:2], "_")
		edges = append(edges, m[1]+" "+n+m[4])
		switch {
		case m[1] == "start" && open == "":
			open = m[3]
		case m[1] == "end" && open == m[3]:
			open = ""
		default:
			t.Errorf("section %s: %s while %q is open", m[3], m[1], open)
		}
	}
	calm(t, ".gitlab", sectionMark.ReplaceAllString(log, ""))
	return edges
}

// cases returns what a JUnit report holds, without its words.
func cases(t *testing.T, text string) []string {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	var elements []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("JUnit: %v\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements = append(elements, e.Name.Local)
		}
	}
	suites, err := junit.Ingest([]byte(text))
	if err != nil {
		t.Fatalf("JUnit: %v\n%s", err, text)
	}
	for _, s := range suites {
		elements = append(elements, fmt.Sprintf("%d %d %d %d", s.Totals.Passed, s.Totals.Failed, s.Totals.Error, s.Totals.Skipped))
	}
	return elements
}

var ticksAtBegin = regexp.MustCompile("^`{3,}")

// markupOfOurs is all the HTML that a summary is made of.
var markupOfOurs = regexp.MustCompile(`</?(details|summary|code)>|\]\(<https?://[^<>\s]*>\)`)

// outline fails the test where foreign text became a part of the page.
func outline(t *testing.T, page string) {
	t.Helper()
	calm(t, ".md", page)
	fence := ""
	columns := 0
	for l := range strings.SplitSeq(page, "\n") {
		switch ticks := ticksAtBegin.FindString(l); {
		case fence != "":
			if l == fence {
				fence = ""
			}
			continue
		case ticks != "":
			fence = ticks
			continue
		}
		if rest := markupOfOurs.ReplaceAllString(l, ""); strings.ContainsAny(strings.TrimPrefix(rest, ">"), "<") {
			t.Errorf("summary: markup in %q", l)
		}
		if strings.HasPrefix(l, "|") {
			n := strings.Count(strings.ReplaceAll(l, `\|`, ""), "|")
			if columns != 0 && n != columns {
				t.Errorf("summary: %d columns in a table of %d: %q", n, columns, l)
			}
			columns = n
		} else {
			columns = 0
		}
		if strings.HasPrefix(l, "#") && !slices.Contains([]string{"### Traffic", "### Gates", "### Put back", "### Warnings", "### Preflight"}, l) && !strings.HasPrefix(l, "## ") {
			t.Errorf("summary: a title %q", l)
		}
	}
	if fence != "" || strings.Count(page, "\n## ") > 0 {
		t.Errorf("summary: a block that does not end, or a second title, in\n%s", page)
	}
}

var variable = regexp.MustCompile(`^HEADGATE_(RESULT|RESULT_EXIT_CODE|RESULT_STAGE|RESULT_RUN_ID|OUTPUT_[A-Z0-9_]+)=[A-Za-z0-9._:/@+=,%~-]+$`)

// variables fails the test where a file for later jobs says more than it may.
func variables(t *testing.T, text string) {
	t.Helper()
	seen := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		name, value, _ := strings.Cut(l, "=")
		if !variable.MatchString(l) || seen[name] || name == "HEADGATE_RESULT" && value != "rolled-back" {
			t.Errorf("dotenv: %q in\n%s", l, text)
		}
		seen[name] = true
	}
	if len(text) > 5<<10 || len(seen) > 20 || !seen["HEADGATE_RESULT"] {
		t.Errorf("dotenv: %d bytes, %d variables", len(text), len(seen))
	}
}
