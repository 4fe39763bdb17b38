package report

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/headgate-dev/headgate/pipeline"
)

// The bounds of a summary: GitHub drops one of more than 1 MiB.
const (
	maxSummary  = 900 << 10
	maxEvidence = 60 << 10
	maxRows     = 100
)

// Summary folds a run into one page of Markdown, written at its Close.
type Summary struct {
	mu sync.Mutex
	a  *account
}

var _ Reporter = (*Summary)(nil)

// NewSummary returns a reporter that writes to o.Out.
func NewSummary(o Options) *Summary { return &Summary{a: newAccount(o)} }

// Handle takes e into account.
func (s *Summary) Handle(e pipeline.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.a.add(e)
}

// Close writes the page about what was handled.
func (s *Summary) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.a.o.Out, s.a.markdown()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

func (a *account) markdown() string {
	var b strings.Builder
	title := "running"
	if a.result != nil {
		title = Outcome(a.result.Ending)
	}
	fmt.Fprintf(&b, "## %s %s: %s\n\n", a.sign(), md(a.run.Pipeline), md(title))
	a.writeReason(&b)
	a.writeRun(&b)
	a.writeStages(&b)
	a.writeTraffic(&b)
	a.writeGates(&b)
	a.writeNotes(&b)
	return cut(b.String(), maxSummary)
}

func (a *account) sign() string {
	if a.result == nil {
		return "⏳"
	}
	switch endingTone(a.result.Ending) {
	case good:
		return "✅"
	case caution:
		return "⚠️"
	default:
		return "❌"
	}
}

func (a *account) writeReason(b *strings.Builder) {
	if a.result == nil || a.result.Reason == "" {
		return
	}
	b.WriteString("> ")
	if a.result.Stage != "" {
		fmt.Fprintf(b, "**%s**: ", md(a.result.Stage))
	}
	fmt.Fprintf(b, "%s\n", md(a.result.Reason))
	if a.result.Hint != "" {
		fmt.Fprintf(b, ">\n> **What to do:** %s\n", md(a.result.Hint))
	}
	b.WriteString("\n")
	findings := make([]string, 0, len(a.result.Findings))
	for _, f := range errorsOf(a.result.Findings) {
		findings = append(findings, findingText(f))
	}
	list(b, "Preflight", findings)
}

func (a *account) writeRun(b *strings.Builder) {
	id := md(a.run.ID)
	if strings.HasPrefix(a.run.URL, "https://") || strings.HasPrefix(a.run.URL, "http://") {
		id = "[" + id + "](<" + strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", "\n", "").Replace(a.run.URL) + ">)"
	}
	if a.resumed > 0 {
		id += fmt.Sprintf(", resumed %d×", a.resumed)
	}
	fmt.Fprintf(b, "Run %s", id)
	if a.run.Commit != "" {
		fmt.Fprintf(b, " · commit %s", code(shortCommit(a.run.Commit)))
	}
	if a.run.Branch != "" {
		fmt.Fprintf(b, " on %s", code(a.run.Branch))
	}
	fmt.Fprintf(b, " · %s\n\n", took(a.ended.Sub(a.started)))
}

func (a *account) writeStages(b *strings.Builder) {
	if len(a.stages) == 0 {
		return
	}
	t := table{b: b, head: []string{"Stage", "Result", "Took", ""}}
	for _, s := range a.stages {
		t.row(md(s.name), stageResult(s.status), stageTook(s), md(s.reason))
	}
	t.end()
}

func stageResult(t pipeline.EventType) string {
	switch t {
	case pipeline.StagePassed:
		return "✅ passed"
	case pipeline.StageFailed:
		return "❌ failed"
	case pipeline.StageSkipped:
		return "skipped"
	case pipeline.RolledBack:
		return "↩️ put back"
	default:
		return "not ended"
	}
}

func stageTook(s *stageAccount) string {
	if s.started.IsZero() || s.ended.IsZero() {
		return ""
	}
	return took(s.ended.Sub(s.started))
}

func (a *account) writeTraffic(b *strings.Builder) {
	if len(a.traffic) == 0 {
		return
	}
	b.WriteString("### Traffic\n\n")
	t := table{b: b, head: []string{"At", "Stage", "Route", "Track", "Weight"}}
	for _, s := range a.traffic {
		w := "unknown"
		if s.weight != nil {
			w = percent(*s.weight)
		}
		t.row(offset(s.at), md(s.stage), md(s.route), md(s.track), w)
	}
	t.end()
	for _, c := range a.charts() {
		b.WriteString(fenced("text", c) + "\n")
	}
}

func (a *account) writeGates(b *strings.Builder) {
	if len(a.gates) == 0 {
		return
	}
	b.WriteString("### Gates\n\n")
	t := table{b: b, head: []string{"Stage", "Gate", "Last verdict", "Looks", "Reason"}}
	for _, g := range a.gates {
		t.row(md(g.stage), md(g.last.Gate), verdictSign(g.last.Outcome), fmt.Sprint(g.looks), md(g.last.Reason))
	}
	t.end()
	for _, g := range a.gates {
		if len(g.last.Evidence) == 0 {
			continue
		}
		fmt.Fprintf(b, "<details><summary>%s: checks of the last look</summary>\n\n", md(prefix(g.stage, ", gate ")+g.last.Gate))
		t := table{b: b, head: []string{"Check", "Verdict", "Value", "Bound", "Samples", "Query"}}
		for _, m := range g.last.Evidence {
			t.row(md(m.Check), verdictSign(m.Outcome), value(m), md(m.Bound), samples(m), code(m.Query))
		}
		t.end()
		b.WriteString("</details>\n\n")
	}
}

func verdictSign(o pipeline.Outcome) string {
	switch o {
	case pipeline.Pass:
		return "✅ pass"
	case pipeline.Fail:
		return "❌ fail"
	case pipeline.Inconclusive:
	}
	return "❔ " + o.String()
}

func value(m pipeline.Measurement) string {
	if m.Value == nil {
		return md(m.Result)
	}
	return md(quantity(*m.Value, clean(m.Unit)))
}

func samples(m pipeline.Measurement) string {
	if m.Samples == nil {
		return ""
	}
	return number(*m.Samples)
}

func (a *account) writeNotes(b *strings.Builder) {
	list(b, "Put back", a.undone)
	warnings := make([]string, 0, len(a.warnings))
	for _, w := range a.warnings {
		warnings = append(warnings, prefix(w.stage, ": ")+w.text)
	}
	list(b, "Warnings", warnings)
	for _, e := range a.evidence {
		fmt.Fprintf(b, "<details><summary>Evidence: %s</summary>\n\n%s\n</details>\n\n", md(e.stage), fenced("text", cut(e.text, maxEvidence)))
	}
}

func list(b *strings.Builder, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "### %s\n\n", title)
	for i, item := range items {
		if i == maxRows {
			fmt.Fprintf(b, "- and %d more\n", len(items)-maxRows)
			break
		}
		fmt.Fprintf(b, "- %s\n", md(item))
	}
	b.WriteString("\n")
}

// table writes a Markdown table of at most maxRows rows.
type table struct {
	b    *strings.Builder
	head []string
	rows int
}

func (t *table) row(cells ...string) {
	if t.rows == 0 {
		t.line(t.head)
		t.line(strings.Split(strings.Repeat("---|", len(t.head)-1)+"---", "|"))
	}
	if t.rows++; t.rows <= maxRows {
		t.line(cells)
	}
}

func (t *table) line(cells []string) { fmt.Fprintf(t.b, "| %s |\n", strings.Join(cells, " | ")) }

func (t *table) end() {
	if t.rows > maxRows {
		fmt.Fprintf(t.b, "\n%d more are left out.\n", t.rows-maxRows)
	}
	t.b.WriteString("\n")
}

// fenced returns a text that is shown as it is.
func fenced(language, text string) string {
	text = strings.Join(cleanLines(text), "\n")
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

// AppendSummary adds a text, such as a plan with its differences, to the job
// summary in the file that GITHUB_STEP_SUMMARY names.
func AppendSummary(path, title, text string) error {
	return appendFile(path, "## "+md(title)+"\n\n"+fenced("diff", cut(text, maxSummary)))
}

// markup is what means something in GitHub's Markdown and in HTML.
var markup = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "~", `\~`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "#", `\#`, "@", "&#64;", "$", `\$`, "!", `\!`)

// md writes foreign text so that it is read as it is, on one line.
func md(s string) string { return markup.Replace(cut(clean(s), 1000)) }

// code is md in a fixed font.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + md(s) + "</code>"
}
