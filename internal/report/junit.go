package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// JUnit folds a run into a JUnit report, written at its Close: a test case
// for each stage, and one for each check of each gate. What was not found to
// be well never counts as passed.
type JUnit struct {
	mu sync.Mutex
	a  *account
}

var _ Reporter = (*JUnit)(nil)

// NewJUnit returns a reporter that writes to o.Out.
func NewJUnit(o Options) *JUnit { return &JUnit{a: newAccount(o)} }

// Handle takes e into account.
func (j *JUnit) Handle(e pipeline.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.a.add(e)
}

// Close writes the report about what was handled.
func (j *JUnit) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, err := xml.MarshalIndent(j.a.junit(), "", "  ")
	if err == nil {
		_, err = io.WriteString(j.a.o.Out, xml.Header+string(text)+"\n")
	}
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

// The parts of the format that GitLab, Jenkins and most others read.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Skipped *junitOutcome `xml:"skipped"`
		Error   *junitOutcome `xml:"error"`
		Failure *junitOutcome `xml:"failure"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr,omitempty"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",cdata"`
	}
)

func (a *account) junit() junitReport {
	r := junitReport{Name: xmlText(a.run.Pipeline), Time: seconds(a.ended.Sub(a.started))}
	stages := a.suite("stages")
	for _, s := range a.stages {
		stages.add(a.stageCase(s))
	}
	if c, ok := a.runCase(); ok {
		stages.add(c)
	}
	stages.Time = r.Time
	r.add(stages)
	for _, g := range a.gates {
		suite := a.suite(prefix(g.stage, ": ") + "gate " + g.last.Gate)
		suite.Time = seconds(0)
		for _, m := range g.last.Evidence {
			suite.add(a.checkCase(g, m))
		}
		if len(g.last.Evidence) > 0 {
			r.add(suite)
		}
	}
	return r
}

func (a *account) suite(name string) junitSuite {
	return junitSuite{Name: xmlText(prefix(a.run.Pipeline, ": ") + name), Timestamp: a.started.UTC().Format("2006-01-02T15:04:05")}
}

func (r *junitReport) add(s junitSuite) {
	r.Suites = append(r.Suites, s)
	r.Tests += s.Tests
	r.Failures += s.Failures
	r.Errors += s.Errors
	r.Skipped += s.Skipped
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func (a *account) stageCase(s *stageAccount) junitCase {
	c := junitCase{Name: xmlText(s.name), Class: xmlText(a.run.Pipeline), Time: seconds(0), File: xmlText(a.o.file())}
	if !s.started.IsZero() && !s.ended.IsZero() {
		c.Time = seconds(s.ended.Sub(s.started))
	}
	switch s.status {
	case pipeline.StagePassed:
	case pipeline.StageFailed, pipeline.RolledBack:
		c.Failure = &junitOutcome{Message: xmlText(s.reason), Type: "stage", Text: a.failureText(s)}
	case pipeline.StageSkipped:
		c.Skipped = &junitOutcome{Message: xmlText(s.reason)}
	default:
		c.Error = &junitOutcome{Message: "the stage did not end", Type: "unfinished", Text: a.failureText(s)}
	}
	return c
}

// runCase is about an ending that no stage stands for, such as a permission
// that is missing or a rollback that is not complete.
func (a *account) runCase() (junitCase, bool) {
	if a.result == nil || a.result.Ending == pipeline.Delivered {
		return junitCase{}, false
	}
	for _, s := range a.stages {
		if s.status == pipeline.StageFailed && s.name == a.result.Stage && a.result.Ending != pipeline.RollbackIncomplete {
			return junitCase{}, false
		}
	}
	var text strings.Builder
	for _, f := range errorsOf(a.result.Findings) {
		fmt.Fprintln(&text, clean(findingText(f)))
	}
	if a.result.Hint != "" {
		fmt.Fprintln(&text, clean(a.result.Hint))
	}
	message := Outcome(a.result.Ending) + prefix(": ", a.result.Reason)
	return junitCase{
		Name: "run", Class: xmlText(a.run.Pipeline), Time: seconds(0), File: xmlText(a.o.file()),
		Error: &junitOutcome{Message: xmlText(message), Type: a.result.Ending.String(), Text: xmlLines(text.String())},
	}, true
}

// failureText is what there is to know about a stage that did not pass.
func (a *account) failureText(s *stageAccount) string {
	var b strings.Builder
	if s.reason != "" {
		fmt.Fprintln(&b, s.reason)
	}
	if at := a.o.locate(s.name); at.Pos.IsValid() {
		fmt.Fprintf(&b, "at %s:%s\n", at.File, at.Pos)
	}
	for _, e := range a.evidence {
		if e.stage == s.name {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(cut(e.text, maxEvidence), "\n"))
		}
	}
	return xmlLines(b.String())
}

func (a *account) checkCase(g *gateAccount, m pipeline.Measurement) junitCase {
	c := junitCase{Name: xmlText(m.Check), Class: xmlText(prefix(a.run.Pipeline, ".") + prefix(g.stage, ".") + g.last.Gate), Time: seconds(0)}
	o := &junitOutcome{Message: xmlText(m.Reason), Type: xmlText(m.Result), Text: xmlLines(checkText(g, m))}
	passed := a.stage(g.stage).status == pipeline.StagePassed
	switch {
	case m.Outcome == pipeline.Pass:
	case passed: // the gate's policy allowed it
		o.Message = m.Outcome.String() + ", and the gate's policy let the stage pass" + prefix(": ", o.Message)
		c.Skipped = o
	case m.Outcome == pipeline.Fail:
		c.Failure = o
	default:
		c.Error = o
	}
	return c
}

func checkText(g *gateAccount, m pipeline.Measurement) string {
	var b strings.Builder
	fmt.Fprintln(&b, measurement(m))
	if m.Query != "" {
		fmt.Fprintln(&b, "asked "+clean(m.Query))
	}
	fmt.Fprintf(&b, "look %d of gate %s\n", g.looks, clean(g.last.Gate))
	return b.String()
}

// seconds writes a duration as the format wants it.
func seconds(d time.Duration) string { return strconv.FormatFloat(max(0, d).Seconds(), 'f', 3, 64) }

// maxXMLText bounds an attribute, in bytes.
const maxXMLText = 4 << 10

// xmlText is foreign text on one line, without what XML cannot hold; the
// encoder escapes what means something there.
func xmlText(s string) string { return notXML.Replace(cut(clean(s), maxXMLText)) }

// xmlLines is [xmlText] for many lines.
func xmlLines(s string) string {
	lines := cleanLines(s)
	if len(lines) == 0 {
		return ""
	}
	return notXML.Replace(strings.Join(lines, "\n")) + "\n"
}

// notXML are the runes that [clean] lets pass and XML 1.0 forbids.
var notXML = strings.NewReplacer("\ufffe", "\ufffd", "\uffff", "\ufffd")
