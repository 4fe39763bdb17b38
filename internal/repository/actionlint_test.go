package repository_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

// ours is the action of this repository, as others use it.
var ours = regexp.MustCompile(`uses: headgate-dev/headgate@\S+(?: \S+)*`)

// lint checks a workflow. The action of this repository is taken from here,
// so that its inputs and outputs are checked, too.
func lint(t *testing.T, name, text string) {
	t.Helper()
	linter, err := actionlint.NewLinter(os.Stderr, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := actionlint.NewProject(root)
	if err != nil {
		t.Fatal(err)
	}
	mistakes, err := linter.Lint(name, []byte(ours.ReplaceAllString(text, "uses: ./")), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Error(m)
	}
}

func TestExampleWorkflowsAreRight(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "github-actions", "*.yml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("got %d workflows: %v", len(files), err)
	}
	for _, path := range files {
		text := read(t, path)
		if !ours.MatchString(text) {
			t.Errorf("%s does not use the action", path)
		}
		lint(t, path, text)
		if !strings.Contains(text, "permissions:\n  contents: read\n") || !strings.Contains(text, "timeout-minutes:") || !strings.Contains(text, "concurrency:") {
			t.Errorf("%s: every example says permissions, a timeout and who waits for whom", path)
		}
	}
}

// workflowBlock is a block of a page that holds a workflow, or steps of one.
var workflowBlock = regexp.MustCompile("(?ms)^```yaml workflow\n(.*?)^```$")

func TestWorkflowsInDocumentsAreRight(t *testing.T) {
	found := 0
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		for _, m := range workflowBlock.FindAllStringSubmatch(read(t, path), -1) {
			found++
			text := m[1]
			if !strings.Contains(text, "jobs:") {
				text = "on: push\njobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n" + text
			}
			lint(t, path, text)
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("got %d blocks, %v", found, err)
	}
}

// The checks above must see what they are for.
func TestMistakesInTheUseOfTheActionAreSeen(t *testing.T) {
	const head = "on: push\njobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n      - {id: h, uses: headgate-dev/headgate@v0, "
	for _, text := range []string{
		"with: {fiel: headgate.yaml}}\n",
		"with: {file: headgate.yaml}}\n      - run: echo ${{ steps.h.outputs.resutl }}\n",
	} {
		linter, err := actionlint.NewLinter(os.Stderr, &actionlint.LinterOptions{Format: "{{range $}}{{end}}"})
		if err != nil {
			t.Fatal(err)
		}
		project, err := actionlint.NewProject(root)
		if err != nil {
			t.Fatal(err)
		}
		replaced := strings.Replace(head+text, "headgate-dev/headgate@v0", "./", 1)
		if mistakes, err := linter.Lint("x.yml", []byte(replaced), project); err != nil || len(mistakes) != 1 {
			t.Errorf("got %v, %v in\n%s", mistakes, err, text)
		}
	}
}
