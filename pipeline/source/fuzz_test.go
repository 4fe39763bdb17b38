package source_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// FuzzDecode shows that no bytes make Decode panic or hang, that problems are
// sorted and lie inside the file, and that places inside texts are right.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("deployment: d\nimage: >-\n  a ${{ b }}\n\n   c\n  d\n"))
	f.Add([]byte("deployment: d\nimage: &a !!str \"a\\u00e9\\t\\\n   ${{ b }}\n\n  d\"\nenv: {A: *a}\n"))
	f.Add([]byte("deployment: d\nimage: 'it''s\n  ${{ b }}'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := source.File{Name: "f.yaml", Data: data}
		var exprs []source.Expression
		var c canary
		start := time.Now()
		problems := source.Decode(file, &c, source.Options{Free: "x-", Expression: func(e source.Expression) { exprs = append(exprs, e) }})
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("took %s", d)
		}
		problems.Render(file)
		if !slices.IsSortedFunc(problems, func(a, b source.Problem) int {
			return (a.Pos.Line-b.Pos.Line)*10_000_000 + a.Pos.Col - b.Pos.Col
		}) {
			t.Errorf("got unsorted problems\n%v", problems)
		}
		for _, p := range problems {
			width := len([]rune(file.Line(p.Pos.Line)))
			if p.Pos.Line < 1 || p.Pos.Line > bytes.Count(data, []byte("\n"))+1 || p.Pos.Col < 1 || p.Width < 1 ||
				p.Pos.Col+p.Width-1 > max(width, 1) || strings.ContainsAny(p.Message, "\n") {
				t.Errorf("got problem outside of the file: %+v", p)
			}
		}
		if problems.HasErrors() {
			return
		}
		l := source.NewLocator(file)
		for _, e := range exprs {
			for i, want := range []rune(e.Text) {
				pos := l.Find(e.Pos, e.Text, i)
				line := []rune(file.Line(pos.Line))
				if want <= ' ' || pos.Col <= len(line) && (line[pos.Col-1] == want || line[pos.Col-1] == '\\') {
					continue
				}
				t.Errorf("rune %d %q of %q at %s is not at %s", i, want, e.Text, e.Pos, pos)
			}
		}
	})
}

// TestNonsenseEndsQuickly feeds large files of the kinds that make readers
// slow.
func TestNonsenseEndsQuickly(t *testing.T) {
	fill := func(s string, n int) []byte { return []byte(strings.Repeat(s, n/len(s))) }
	const full = source.MaxSize / 16
	for name, data := range map[string][]byte{
		"10 MB of zeros":      make([]byte, 10<<20),
		"10 MB of text":       fill("nonsense ", 10<<20),
		"brackets":            fill("[", full),
		"braces":              fill("{", full),
		"open mappings":       fill("{a: ", full),
		"dashes":              fill("- ", full),
		"dashes on lines":     fill("-\n", full),
		"question marks":      fill("? ", full),
		"colons":              fill("a: ", full),
		"keys":                fill("a:\n", full),
		"unknown keys":        []byte(manyKeys(full)),
		"one word":            fill("x", full),
		"quotes":              fill("\"", full),
		"open quote":          append([]byte("deployment: \""), fill("x\n", full/2)...),
		"aliases":             append([]byte("x-a: &a [x]\nanything: ["), append(fill("*a,", full-100), ']')...),
		"anchors":             append([]byte("anything: ["), append(fill("&a b,", full-100), ']')...),
		"comments":            fill("# x\n", full),
		"comments and keys":   fill("# x\n- a\n", full),
		"tabs":                fill("\t", full),
		"ampersands":          fill("&", full),
		"percent":             fill("%a\n", full),
		"documents":           fill("---\n", full),
		"exclamation marks":   fill("!a ", full),
		"pipes":               append([]byte("image: |\n"), fill("  x\n", full-100)...),
		"folded":              append([]byte("image: >\n"), fill("  x\n\n", full-100)...),
		"merge":               append([]byte("x-a: &a {q: 1}\nenv:\n  <<: ["), append(fill("*a,", full/4), ']', '\n')...),
		"many expressions":    append([]byte("deployment: d\nimage: '"), append(fill("${{ x }}", full/2), '\'')...),
		"syntax error at end": append(fill("a: b\n", full-100), []byte("  c: [\n")...),
	} {
		t.Run(name, func(t *testing.T) {
			var c canary
			file := source.File{Name: "f.yaml", Data: data}
			start := time.Now()
			problems := source.Decode(file, &c, source.Options{Free: "x-"})
			text := problems.Render(file)
			if d := time.Since(start); d > 15*time.Second {
				t.Errorf("took %s", d)
			} else {
				t.Logf("%8s %4d problems %d bytes: %.150s", d.Round(time.Millisecond), len(problems), len(text), text)
			}
			if len(problems) == 0 && name != "many expressions" {
				t.Error("got no problems")
			}
		})
	}
}

func manyKeys(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-20; i++ {
		b.WriteString("kex")
		for n := i; n > 0; n /= 26 {
			b.WriteByte(byte('a' + n%26))
		}
		b.WriteString(": 1\n")
	}
	return b.String()
}
