package pipeline_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// FuzzParse shows that no bytes make Parse panic or hang, that a file is
// either wrong or gives a pipeline, and that problems are sorted and lie
// inside the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/err/*.yaml", "testdata/ok/*.yaml", "source/testdata/err/*.yaml"} {
		files, err := filepath.Glob(pattern)
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
	}
	g := grammar()
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		file := source.File{Name: "f.yaml", Data: data}
		p, problems := pipeline.Parse(file, g)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("took %s", d)
		}
		if (p == nil) != problems.HasErrors() {
			t.Errorf("got pipeline %v and problems %v", p, problems)
		}
		problems.Render(file)
		if !slices.IsSortedFunc(problems, func(a, b source.Problem) int {
			return (a.Pos.Line-b.Pos.Line)*1_000_000 + a.Pos.Col - b.Pos.Col
		}) {
			t.Errorf("got unsorted problems\n%v", problems)
		}
		for _, q := range problems {
			line := []rune(file.Line(q.Pos.Line))
			if q.Pos.Line < 1 || q.Pos.Line > bytes.Count(data, []byte("\n"))+1 || q.Pos.Col < 1 ||
				q.Pos.Col > max(len(line), 1)+1 || q.Width < 1 || q.Message == "" {
				t.Errorf("got problem outside of the file: %+v", q)
			}
		}
		if p == nil {
			return
		}
		v := pipeline.Values{Extra: map[string]string{"selector": "a", "window": "b", "key": "c"}}
		for _, st := range p.Stages {
			_, _ = p.Condition(st.If, v)
			for _, text := range st.Env.All() {
				_, _ = p.Text(text, v)
			}
		}
	})
}

// fiveHundred is a file of 500 stages, each with expressions.
func fiveHundred() source.File {
	var b bytes.Buffer
	b.WriteString("version: 1\nname: big\nvars: {image: x}\nprometheus: http://p\ngates: {slo: {checks: [{query: 'up{${{ selector }}}'}]}}\nstages:\n")
	for i := range 500 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "  - name: build %d\n    if: run.branch == \"main\" && vars.image != \"%d\"\n    env: {A: \"${{ vars.image }}\"}\n    build: {image: \"${{ vars.image }}\", tag: \"${{ run.commit }}-%d\"}\n", i, i, i)
		case 1:
			fmt.Fprintf(&b, "  - name: release %d\n    canary:\n      deployment: d\n      image: ${{ stages[\"build %d\"].ref }}\n      gate: slo\n      steps: [{setWeight: 20}, {pause: 10m}, {setWeight: 40}, {pause: 10m}]\n", i, i-1)
		default:
			fmt.Fprintf(&b, "  - name: test %d\n    timeout: 5m\n    test: {run: go test ./..., junit: \"*.xml\"}\n", i)
		}
	}
	return source.File{Name: "big.yaml", Data: b.Bytes()}
}

// BenchmarkParse500 parses and checks a file of 500 stages; the promise is
// that headgate validate takes less than 100 ms for it.
func BenchmarkParse500(b *testing.B) {
	f, g := fiveHundred(), grammar()
	for b.Loop() {
		if p, problems := pipeline.Parse(f, g); p == nil {
			b.Fatal(problems)
		}
	}
}
