package cli_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/cli"
)

// spoken are commands in the middle of a sentence.
var spoken = regexp.MustCompile("`(headgate [a-z-][^`]*)`")

// What documents tell people to type is there: commands of headgate with
// their flags, targets of make, packages of go run. Nothing is run here. A
// block of sh with the word run is run by a test of cmd/headgate, one with
// the word cluster by a test of test/e2e; both take exit=CODE.
func TestCommandsInDocumentsAreThere(t *testing.T) {
	found := 0
	check := func(at, line string) {
		for _, args := range commandsOf(line) {
			ok, err := there(args)
			if err != nil {
				t.Errorf("%s: %s: %v", at, strings.Join(args, " "), err)
			}
			if ok {
				found++
			}
		}
	}
	for _, name := range documents(t) {
		text := string(read(t, name))
		for _, b := range blocks(text) {
			info := strings.Fields(b.info)
			if len(info) == 0 || !slices.Contains([]string{"sh", "yaml"}, info[0]) {
				continue
			}
			if info[0] == "sh" && !shellInfo.MatchString(b.info) {
				t.Errorf("%s:%d: what is a block of %q?", name, b.line, b.info)
			}
			for i, line := range strings.Split(joined(b.text), "\n") {
				check(fmt.Sprintf("%s:%d", name, b.line+1+i), line)
			}
		}
		for _, m := range spoken.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			check(name, strings.Join(strings.Fields(m[1]), " "))
		}
	}
	for _, example := range cli.HelpExamples() {
		for line := range strings.Lines(example) {
			check("an example of the help", line)
		}
	}
	if found < 60 {
		t.Errorf("got %d commands, want more", found)
	}
}

var shellInfo = regexp.MustCompile(`^sh( (run|cluster)( exit=\d+)?)?$`)

// joined puts lines that a backslash continues into the first of them, and
// keeps their number.
func joined(text string) string {
	for {
		begin, rest, ok := strings.Cut(text, "\\\n")
		if !ok {
			return text
		}
		line, rest, _ := strings.Cut(rest, "\n")
		text = begin + line + "\n\n" + rest
	}
}

var (
	// comment is what a shell does not read.
	comment = regexp.MustCompile(`(^|\s)#.*`)
	// apart are the signs between two commands of a line.
	apart = regexp.MustCompile(`&&|\|\|?|;|&(\s|$)|<\(|\$\(|\)`)
	// before is what may stand before a command, in a shell or as YAML.
	before = regexp.MustCompile(`^(\s|- |run: |exec |sudo |[A-Za-z_]+="?[^\s"]*"? )*`)
	word   = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)
)

// commandsOf are those of a line, as words.
func commandsOf(line string) [][]string {
	var all [][]string
	for _, c := range apart.Split(comment.ReplaceAllString(line, ""), -1) {
		c, _, _ = strings.Cut(before.ReplaceAllString(c, ""), ">")
		var words []string
		for _, w := range word.FindAllString(c, -1) {
			words = append(words, strings.Trim(w, `"'`))
		}
		if len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// there says whether a command is one of ours, and what is wrong with it.
func there(words []string) (ours bool, err error) {
	switch {
	case path.Base(words[0]) == "headgate":
		return true, cli.Understands(words[1:])
	case words[0] == "make" && len(words) > 1:
		makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
		if err == nil && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(words[1])+`:`).Match(makefile) {
			err = fmt.Errorf("Makefile has no such target")
		}
		return true, err
	case words[0] == "go" && len(words) > 2 && words[1] == "run":
		for _, w := range words[2:] {
			if strings.HasPrefix(w, "./") {
				if _, err := fs.Stat(os.DirFS(repository), path.Clean(w)); err != nil {
					return true, err
				}
			}
		}
		return true, nil
	}
	return false, nil
}

func TestCommandsThatAreNotThere(t *testing.T) {
	for _, line := range []string{
		"headgate deploy", "headgate run --lokal", "headgate run a.yaml b.yaml", "  - exec headgate recover --file",
		"cd shop && ../bin/headgate plan --stay", "A=b sudo headgate version 1", "make love", "go run ./test/nowhere up",
		"headgate run --report plain --vars a=b &", "source <(headgate completions bash)", "headgate demo users URL more",
	} {
		wrong := false
		for _, c := range commandsOf(line) {
			ok, err := there(c)
			wrong = wrong || ok && err != nil
		}
		if !wrong {
			t.Errorf("nothing is wrong with %q, which reads as %q", line, commandsOf(line))
		}
	}
}
