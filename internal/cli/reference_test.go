package cli_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

const (
	repository = "../.."
	reference  = repository + "/docs/reference"
)

// written are the pages of docs/reference that people write.
var written = []string{"expressions.md"}

// The reference is what the declarations say; run with -update to write it
// anew.
func TestReferenceIsTheDeclarations(t *testing.T) {
	examples := readExamples(t)
	var index strings.Builder
	index.WriteString("# Reference\n\nThe pages about the file and the command line are written by tests, from the declarations that the program reads files by.\n\n")
	want := slices.Concat(written, []string{"README.md", "command-line.md", "exit-codes.md"})
	group := ""
	for _, p := range cli.Grammar().Reference() {
		path, title := pagePath(p)
		if title != group {
			group = title
			fmt.Fprintf(&index, "## %s\n\n", title)
		}
		fmt.Fprintf(&index, "- [%s](%s): %s\n", p.Name, path, p.Doc)
		text := p.Markdown()
		if p.Kind {
			text += examples.section(t, p.Name)
		}
		golden.EqualFile(t, filepath.Join(reference, path), []byte(text))
		want = append(want, path)
	}
	index.WriteString("\n## The rest\n\n- [Expressions](expressions.md): what stands in `${{ }}` and in `if:`.\n- [The command line](command-line.md): commands and flags.\n- [Exit codes](exit-codes.md): how a command can end.\n")
	golden.EqualFile(t, filepath.Join(reference, "README.md"), []byte(spaced(index.String())))
	noOtherPages(t, want)
}

// spaced puts an empty line before each headline.
func spaced(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n## ", "\n\n## "), "\n\n\n", "\n\n")
}

// pagePath is where a page is kept, and the headline that it is listed under.
func pagePath(p pipeline.Page) (path, group string) {
	switch {
	case p.Kind:
		return "stages/" + p.Name + ".md", "Stages"
	case p.Name == "file", p.Name == "stage":
		return p.Name + ".md", "The file"
	}
	return "sections/" + p.Name + ".md", "Sections"
}

// noOtherPages fails where a page is left of something that is gone.
func noOtherPages(t *testing.T, want []string) {
	t.Helper()
	err := filepath.WalkDir(reference, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(reference, path)
		if !slices.Contains(want, filepath.ToSlash(name)) {
			t.Errorf("docs/reference/%s is about nothing that there is; remove it", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// examples are the stages in the pipelines below examples/, by kind.
type examples map[string]string

// readExamples parses every pipeline below examples/.
func readExamples(t *testing.T) examples {
	t.Helper()
	all := examples{}
	for _, name := range pipelineFiles(t, filepath.Join(repository, "examples")) {
		f := source.File{Name: strings.TrimPrefix(filepath.ToSlash(name), repository+"/"), Data: read(t, name)}
		p, problems := pipeline.Parse(f, cli.Grammar())
		if len(problems) > 0 {
			t.Errorf("%s", problems.Render(f))
			continue
		}
		for i, st := range p.Stages {
			if _, ok := all[st.Kind]; !ok {
				all[st.Kind] = fmt.Sprintf("\n## Example\n\nFrom [%s](../../../%s):\n\n```yaml\nstages:\n%s```\n", f.Name, f.Name, stageText(p, i))
			}
		}
	}
	return all
}

// pipelineFiles finds the YAML files that begin with what a pipeline has.
func pipelineFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".yaml") && strings.Contains("\n"+string(read(t, path)), "\nstages:") {
			files = append(files, path)
		}
		return err
	})
	// The one for users comes before others of its folder.
	slices.SortStableFunc(files, func(a, b string) int {
		return cmp.Or(strings.Compare(filepath.Dir(a), filepath.Dir(b)), -strings.Compare(filepath.Base(a), filepath.Base(b)))
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("find pipelines in %s: %d files, %v", root, len(files), err)
	}
	return files
}

// stageText cuts a stage out of its file.
func stageText(p *pipeline.Pipeline, i int) string {
	lines := strings.SplitAfter(string(p.File.Data), "\n")[p.Stages[i].Pos.Line-1:]
	if i+1 < len(p.Stages) {
		lines = lines[:p.Stages[i+1].Pos.Line-p.Stages[i].Pos.Line]
	}
	for len(lines) > 0 {
		last := strings.TrimSpace(lines[len(lines)-1])
		if last != "" && !strings.HasPrefix(last, "#") {
			break
		}
		lines = lines[:len(lines)-1] // an empty line, or a comment on the next one
	}
	return strings.Join(lines, "")
}

// section is the end of a kind's page.
func (e examples) section(t *testing.T, kind string) string {
	t.Helper()
	if e[kind] == "" {
		t.Errorf("no pipeline below examples/ has a stage of the kind %s", kind)
	}
	return e[kind]
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Editors take the schema from the repository or from the program; it is the
// same.
func TestSchemaIsTheOneInTheRepository(t *testing.T) {
	out, errs, code := run(t, nil, "schema")
	if code != 0 || errs != "" {
		t.Fatalf("got exit code %d, stderr %q", code, errs)
	}
	golden.EqualFile(t, filepath.Join(repository, "headgate.schema.json"), []byte(out))
}

func TestExitCodesHaveAPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Exit codes\n\nThe word is the output `result` of the action, and `result` in JSON.\n\n| code | word | meaning |\n|---|---|---|\n")
	for _, e := range pipeline.Endings() {
		fmt.Fprintf(&page, "| %d | `%s` | %s |\n", int(e), e, meanings[e])
		if meanings[e] == "" || report.Outcome(e) == e.String() && e != pipeline.Delivered && e != pipeline.Locked {
			t.Errorf("exit code %d is not explained", int(e))
		}
	}
	page.WriteString("\nA run that was ended by a second signal, or by SIGKILL, has no say in its exit code: run again, or run `headgate recover`.\n")
	golden.EqualFile(t, filepath.Join(reference, "exit-codes.md"), []byte(page.String()))
}

var meanings = map[pipeline.Ending]string{
	pipeline.Delivered:            "Delivered: the new release is live, and what the run needed for it is cleaned up. Also: the command did what it was asked to.",
	pipeline.FailedUnchanged:      "Failed before anything was changed.",
	pipeline.WrongFile:            "The file or the command line is wrong. Nothing was asked and nothing changed.",
	pipeline.FailedRolledBack:     "Failed, and everything that the run had changed is put back.",
	pipeline.RollbackIncomplete:   "Something could not be put back, or could not be recorded: a person is needed. `headgate recover` tries again.",
	pipeline.DeliveredNotFinished: "The new release is live, but cleaning up failed. Running again completes it.",
	pipeline.Locked:               "Another run holds the lock, or something newer is live. Nothing was changed by this one.",
	pipeline.Unfinished:           "An unfinished earlier run was found, and the policy says stop. `headgate recover` ends it.",
	pipeline.Changes:              "`plan --exit-code`: a run would change something.",
	pipeline.CancelledInt:         "Cancelled by SIGINT (Ctrl-C) and made safe: users are on the old version. `headgate recover` does the rest.",
	pipeline.CancelledTerm:        "Cancelled by SIGTERM (the CI's way) and made safe, as with 130.",
}
