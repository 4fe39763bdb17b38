package cli_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// documents are all Markdown files that users read.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, root := range []string{"README.md", "CONTRIBUTING.md", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(repository, root), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A block of YAML is a pipeline, or a part of one, unless a second word says
// what else it is.
func TestBlocksInDocumentsParse(t *testing.T) {
	found := 0
	for _, name := range documents(t) {
		for _, b := range blocks(string(read(t, name))) {
			fields := strings.Fields(b.info)
			if len(fields) == 0 || fields[0] != "yaml" {
				continue
			}
			found++
			switch {
			case len(fields) == 1:
				f := source.File{Name: name, Data: []byte(whole(b.text))}
				if _, problems := pipeline.Parse(f, cli.Grammar()); len(problems) > 0 {
					t.Errorf("%s:%d: this block does not parse:\n%s", name, b.line, problems.Render(f))
				}
			case slices.Contains([]string{"workflow", "gitlab"}, fields[1]):
				if err := yaml.Unmarshal([]byte(b.text), new(any)); err != nil {
					t.Errorf("%s:%d: %v", name, b.line, err)
				}
			default:
				t.Errorf("%s:%d: what is a block of %q?", name, b.line, b.info)
			}
		}
	}
	if found < 10 {
		t.Errorf("got %d blocks, want more", found)
	}
}

type block struct {
	info, text string
	line       int
}

var fence = regexp.MustCompile("(?m)^```(.*)\n((?s:.*?))^```$")

func blocks(text string) []block {
	var all []block
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		all = append(all, block{info: text[m[2]:m[3]], text: text[m[4]:m[5]], line: 1 + strings.Count(text[:m[0]], "\n")})
	}
	return all
}

// secretsUsed and rollouts find what a part of a file takes for granted.
var (
	secretsUsed = regexp.MustCompile(`secrets\.(\w+)`)
	varsUsed    = regexp.MustCompile(`vars\.(\w+)`)
	gatesUsed   = regexp.MustCompile(`(?:gate|use): (\w+)`)
)

// whole adds to a part of a pipeline what it takes for granted.
func whole(text string) string {
	has := func(key string) bool { return regexp.MustCompile(`(?m)^` + key + `:`).MatchString(text) }
	if !has("version") {
		text = "version: 1\nname: example\n" + text
	}
	add := func(key, before string, named *regexp.Regexp, entry string) {
		if has(key) {
			return
		}
		var names []string
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if m[1] != "" && !slices.Contains(names, m[1]) {
				names = append(names, m[1])
			}
		}
		for i, n := range names {
			if i == 0 {
				text += before
			}
			text += "  " + n + ": " + entry + "\n"
		}
	}
	add("secrets", "secrets:\n", secretsUsed, "{env: X}")
	add("vars", "vars:\n", varsUsed, `""`)
	if !has("stages") {
		text += "stages: [{name: unit, test: go test ./...}]\n"
		return text
	}
	add("gates", "gates:\n", gatesUsed, "{checks: [errorRate: 5%]}")
	if strings.Contains(text, "stages.image.") && !strings.Contains(text, "name: image") {
		text = strings.Replace(text, "\nstages:\n", "\nstages:\n  - {name: image, build: {image: example.com/image}}\n", 1)
	}
	return text
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(string(read(t, name)), -1) {
			target := filepath.Join(filepath.Dir(name), m[1])
			if found, err := filepath.Glob(target); err != nil || len(found) == 0 {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
}
