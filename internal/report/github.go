package report

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/sethvargo/go-githubactions"
)

// GitHub writes the log of a step of GitHub Actions: a group for each stage,
// annotations on the pipeline file, and at the end the job summary and the
// step's outputs. What programs of the user's print can never become a
// command: commands are stopped around it.
type GitHub struct {
	mu      sync.Mutex
	p       printer
	o       GitHubOptions
	actions *githubactions.Action
	account *account
	group   string // the open one's stage
	stop    string // the token that ends the stop of commands, "" when not stopped
	told    map[string]bool
	err     error
}

var _ Reporter = (*GitHub)(nil)

// GitHubOptions are what [NewGitHub] needs beside [Options].
type GitHubOptions struct {
	Options
	// Getenv finds GITHUB_OUTPUT and GITHUB_STEP_SUMMARY. Where they are
	// unset, what belongs into those files is left out.
	Getenv func(string) string
	// Token returns a word that nobody can foresee; nil means a random one.
	Token func() string
}

// NewGitHub returns a reporter for GitHub Actions.
func NewGitHub(o GitHubOptions) *GitHub {
	if o.Token == nil {
		o.Token = rand.Text
	}
	r := &GitHub{o: o, account: newAccount(o.Options), told: map[string]bool{}}
	r.p = printer{Options: o.Options, teller: newTeller(o.Verbose)}
	r.p.beat = func() { r.mu.Lock(); defer r.mu.Unlock(); r.resume(); r.p.heartbeat() }
	r.actions = githubactions.New(githubactions.WithWriter(&lenientWriter{to: o.Out, err: &r.err}),
		githubactions.WithGetenv(o.Getenv))
	return r
}

// lenientWriter never fails, since the library panics when its writer does.
type lenientWriter struct {
	to  io.Writer
	err *error
}

func (w *lenientWriter) Write(b []byte) (int, error) {
	if _, err := w.to.Write(b); err != nil && *w.err == nil {
		*w.err = fmt.Errorf("write workflow command: %w", err)
	}
	return len(b), nil
}

// Handle writes e to the log and takes account of it for the summary.
func (r *GitHub) Handle(e pipeline.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.account.add(e)
	r.p.heard(e)
	lines := r.p.tell(e)
	if e.Type == pipeline.Output {
		r.pause()
	} else {
		r.resume()
	}
	switch {
	case e.Type == pipeline.StageStarted:
		r.open(e.Stage)
	case e.Type == pipeline.EvidenceFound:
		r.open("evidence: " + e.Stage)
	case endsGroup(e.Type):
		r.closeGroup()
	}
	r.p.lines(e, lines)
	r.p.where(e)
	r.annotate(e)
	switch e.Type {
	case pipeline.EvidenceFound:
		r.closeGroup()
	case pipeline.RunEnded:
		r.end(e)
	default:
	}
}

// Close ends what is open and returns the first thing that went wrong.
func (r *GitHub) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resume()
	r.closeGroup()
	return errors.Join(r.p.close(), r.err)
}

func (r *GitHub) open(title string) {
	r.closeGroup()
	r.actions.Group(clean(title))
	r.group = title
}

func (r *GitHub) closeGroup() {
	if r.group != "" {
		r.actions.EndGroup()
		r.group = ""
	}
}

// pause makes the runner take no commands until resume.
func (r *GitHub) pause() {
	if r.stop == "" {
		r.stop = r.o.Token()
		r.actions.IssueCommand(&githubactions.Command{Name: "stop-commands", Message: r.stop})
	}
}

func (r *GitHub) resume() {
	if r.stop != "" {
		r.actions.IssueCommand(&githubactions.Command{Name: r.stop})
		r.stop = ""
	}
}

// maxAnnotation is where the runner cuts the message of an annotation.
const maxAnnotation = 4096

// annotate marks what failed, and warnings, on the lines of the file.
func (r *GitHub) annotate(e pipeline.Event) {
	switch e.Type {
	case pipeline.StageFailed:
		r.told[e.Stage] = true
		r.annotation("error", e.Stage, e.Stage+" failed", e.Reason)
	case pipeline.Warned:
		if e.Pos.IsValid() {
			r.annotationAt(Place{File: r.o.file(), Pos: e.Pos}, "warning", cmp.Or(e.Stage, "preflight"), e.Message)
			return
		}
		r.annotation("warning", e.Stage, e.Stage, e.Message)
	case pipeline.RunEnded:
		if e.Result == nil {
			return
		}
		found := errorsOf(e.Result.Findings)
		for _, f := range found {
			r.annotationAt(Place{File: r.o.file(), Pos: f.Pos}, "error", "preflight", f.Message+prefix("\n", f.Hint))
		}
		if e.Result.Ending == pipeline.Delivered || len(found) > 0 || (e.Result.Stage != "" && r.told[e.Result.Stage]) {
			return
		}
		r.annotation("error", e.Result.Stage, Outcome(e.Result.Ending), e.Result.Reason)
	default: // is no trouble
	}
}

// annotation issues an annotation of a level (error, warning) for a stage.
func (r *GitHub) annotation(level, stage, title, message string) {
	r.annotationAt(r.o.locate(stage), level, title, message)
}

func (r *GitHub) annotationAt(at Place, level, title, message string) {
	properties := githubactions.CommandProperties{"title": clean("headgate" + prefix(": ", title))}
	if at.File != "" && at.Pos.IsValid() {
		properties["file"] = at.File
		properties["line"] = strconv.Itoa(at.Pos.Line)
		properties["col"] = strconv.Itoa(at.Pos.Col)
	}
	text := strings.Join(cleanLines(message), "\n")
	if text == "" {
		text = clean(title) // a message is needed
	}
	r.actions.IssueCommand(&githubactions.Command{Name: level, Properties: properties, Message: cut(text, maxAnnotation)})
}

// Annotate marks problems on the lines of a pipeline file, whose name is
// relative to the repository's root.
func Annotate(out io.Writer, file string, problems source.Problems) {
	var err error // whoever reads the log sees the problems anyway
	a := githubactions.New(githubactions.WithWriter(&lenientWriter{to: out, err: &err}))
	for _, p := range problems {
		level := "error"
		if p.Warning {
			level = "warning"
		}
		properties := githubactions.CommandProperties{"file": file, "title": "headgate"}
		if p.Pos.IsValid() {
			properties["line"], properties["col"] = strconv.Itoa(p.Pos.Line), strconv.Itoa(p.Pos.Col)
			properties["endColumn"] = strconv.Itoa(p.Pos.Col + max(p.Width, 1))
		}
		text := clean(p.Message) + prefix("\n", clean(p.Hint))
		a.IssueCommand(&githubactions.Command{Name: level, Properties: properties, Message: cut(text, maxAnnotation)})
	}
}

// Masks tells the runner to mask values in all that the job prints from now
// on. out must be the step's own output, not one that redacts, since the
// values stand in the command; the runner keeps the command itself out of the
// log. Each value must be a single line.
func Masks(out io.Writer, values []string) error {
	var err error
	a := githubactions.New(githubactions.WithWriter(&lenientWriter{to: out, err: &err}))
	for _, v := range values {
		a.AddMask(v)
	}
	return err
}

// end writes the summary and the outputs.
func (r *GitHub) end(e pipeline.Event) {
	if path := r.o.Getenv("GITHUB_STEP_SUMMARY"); path != "" {
		r.keep(appendFile(path, r.account.markdown()))
	}
	path := r.o.Getenv("GITHUB_OUTPUT")
	if path == "" || e.Result == nil {
		return
	}
	stages, err := json.Marshal(r.account.outputs())
	r.keep(err)
	more := [][2]string{{"run-id", r.account.run.ID}, {"stages", string(stages)}}
	r.keep(writeOutputs(path, append(outputs(*e.Result), more...), r.o.Token))
}

func (r *GitHub) keep(err error) {
	r.err = errors.Join(r.err, err) // both files at most
}
