package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// parseGood parses a file that must be right.
func parseGood(t *testing.T, data string, vars map[string]string) *pipeline.Pipeline {
	t.Helper()
	f := source.File{Name: "f.yaml", Data: []byte(data)}
	p, problems := grammar().Parse(f, vars)
	if p == nil {
		t.Fatalf("got problems:\n%s", problems.Render(f))
	}
	return p
}

func values() pipeline.Values {
	return pipeline.Values{
		Vars:    map[string]string{"image": "repo", "n": "3", "my-var": "mine"},
		Env:     map[string]string{"CI": "true"},
		Secrets: map[string]string{"token": "s3cr3t"},
		Run:     pipeline.Info{ID: "7", Commit: "0123456789", Branch: "main", URL: "http://ci", Number: "42"},
		Stages:  map[string]map[string]string{"image": {"ref": "repo@sha256:1"}, "a b": {"ref": "x"}},
		Extra:   map[string]string{"selector": `app="x"`},
	}
}

func TestTextEvaluates(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain }} text {{ $x ${y}", "plain }} text {{ $x ${y}"},
		{"${{ vars.image }}", "repo"},
		{"a ${{vars.image}}:${{ run.commit }} b", "a repo:0123456789 b"},
		{`${{ vars["my-var"] }}${{ vars [ 'my-var' ] }}`, "minemine"},
		{`${{ stages.image.ref }} ${{ stages["a b"].ref }}`, "repo@sha256:1 x"},
		{"x{${{ selector }}}", `x{app="x"}`},
		{"${{ run.id }}${{ run.number }}${{ run.url }}${{ run.branch }}", "742http://cimain"},
		{"${{ env.CI }} ${{ secrets.token }}", "true s3cr3t"},
		{"${{ run.commit.substring(0, 4) + '-' + vars.image.upperAscii() }}", "0123-REPO"},
		{"${{ int(vars.n) * 2 }} ${{ 1.5 }} ${{ true }}", "6 1.5 true"},
		{`${{ "${{ not this }}" }}`, "${{ not this }}"},
		{`${{ {"a": {"b": "}}"}}["a"]["b"] }}`, "}}"},
		{`${{ has(env.NOPE) ? env.NOPE : "none" }} ${{ env[?"NOPE"].orValue("d") }}`, "none d"},
		{`${{ "CI" in env }}`, "true"},
		{"日本 ${{ 'ü' }}", "日本 ü"},
	} {
		// By what was checked beforehand, and without.
		checked := parseGood(t, "version: 1\nname: x\nvars: {image: a, n: b, my-var: c}\nsecrets: {token: {env: T}}\n"+
			"stages:\n  - {name: image, build: {image: i}}\n  - {name: a b, build: {image: i}}\n  - name: z\n    build: {image: i, tag: "+quoted(strings.ReplaceAll(c.text, "selector", "run.id"))+"}\n", nil)
		for _, p := range []*pipeline.Pipeline{checked, {}} {
			got, err := p.Text(source.Template{Raw: c.text}, values())
			if err != nil || got != c.want {
				t.Errorf("%s: got %q, %v, want %q", c.text, got, err, c.want)
			}
		}
	}
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func TestTextFailsWithoutValues(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"${{ env.NOPE }}", "the environment variable NOPE is not set"},
		{"${{ stages.image.digest }}", "stages.image.digest has no value: the stage did not set it"},
		{"${{ stages.skipped.ref }}", "stages.skipped.ref has no value: the stage was not run"},
		{"${{ env.NOPE + 'x' }}", `there is no value for "NOPE"`},
		{"${{ vars[secrets.token] }}", "there is no value for a name that comes from a secret"},
		{"${{ int(vars.image) }}", "a text is no number"},
		{"${{ vars.image.substring(99) }}", "a place beyond the end of a text or list is asked for"},
		{"${{ 1 / int(run.number + '0') }} ${{ 1 / (int(run.number) - 42) }}", "division by zero"},
		{"${{ window }}", "window has no value here"},
		{"${{ ", "${{ is not closed"},
		{"${{ nope.x + 1 }}", `"nope" is not known here`},
	} {
		got, err := new(pipeline.Pipeline).Text(source.Template{Raw: c.text}, values())
		if err == nil || !strings.Contains(err.Error(), c.want) || got != "" {
			t.Errorf("%s: got %q, %v, want an error with %q", c.text, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error holds a secret: %v", c.text, err)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		expr string
		want bool
		fail string
	}{
		{expr: "", want: true},
		{expr: `run.branch == "main"`, want: true},
		{expr: `${{ run.branch == "main" }}`, want: true},
		{expr: ` run.branch != "main" `, want: false},
		{expr: `int(vars.n) > 2 && env.CI == "true"`, want: true},
		{expr: `run.branch.matches("^release/")`, want: false},
		{expr: `env.NOPE == "x"`, fail: "NOPE"},
		{expr: `vars.n`, fail: "text"},
		{expr: `1 + 1`, fail: "true or false"},
		{expr: `${{ true`, fail: "not closed"},
	} {
		got, err := new(pipeline.Pipeline).Condition(source.Expr{Raw: c.expr}, values())
		if got != c.want || (err != nil) != (c.fail != "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%s: got %v, %v, want %v, %q", c.expr, got, err, c.want, c.fail)
		}
	}
}

func TestExpressionsCannotHang(t *testing.T) {
	const long = `[0,1,2,3,4,5,6,7,8,9]`
	expr := "true"
	for _, v := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		expr = long + ".all(" + v + ", " + expr + ")"
	}
	start := time.Now()
	got, err := new(pipeline.Pipeline).Condition(source.Expr{Raw: expr}, values())
	if got || err == nil || !strings.Contains(err.Error(), "it takes too long") {
		t.Errorf("got %v, %v", got, err)
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %s", d)
	}
}

func TestLoadSecretsNamesEveryMissingOne(t *testing.T) {
	p := parseGood(t, `version: 1
name: x
secrets:
  a: {env: A}
  b: {env: B}
  c: {file: /c}
  d: {file: /d}
  e: {env: E}
stages: [{name: s, commit: }]
`, nil)
	env := map[string]string{"A": "1", "E": ""}
	lookup := func(n string) (string, bool) { v, ok := env[n]; return v, ok }
	files := func(n string) ([]byte, error) {
		if n == "/c" {
			return []byte("line\nend\r\n"), nil
		}
		return nil, errors.New("open /d: no such file")
	}
	_, err := p.LoadSecrets(lookup, files)
	want := `f.yaml:5:12: secret b: environment variable B is not set
f.yaml:7:13: secret d: read file: open /d: no such file
f.yaml:8:12: secret e: its value is empty`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	env["B"], env["E"] = "2", "3"
	p.Secrets.Entries = append(p.Secrets.Entries[:3], p.Secrets.Entries[4])
	got, err := p.LoadSecrets(lookup, files)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2", "c": "line\nend", "e": "3"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

const withVars = `version: 1
name: x
vars: {pause: 10m, image: a}
stages:
  - name: s
    canary: {deployment: d, image: "${{ vars.image }}", steps: [{pause: "${{ vars.pause }}"}]}
`

func TestVariablesCanBeGiven(t *testing.T) {
	p := parseGood(t, withVars, map[string]string{"pause": "3s"})
	c, ok := p.Stages[0].Task.(*canaryTask)
	if !ok || c.Steps[0].Pause.Value != 3*time.Second {
		t.Errorf("got %+v", p.Stages[0].Task)
	}
	if diff := cmp.Diff(map[string]string{"pause": "3s", "image": "a"}, p.VarValues()); diff != "" {
		t.Error(diff)
	}
	f := source.File{Name: "f.yaml", Data: []byte(withVars)}
	for given, want := range map[string]string{
		"paus":  `a value was given for the variable "paus", which is not declared`,
		"pause": "canary.steps[0].pause: a duration needs a unit, found 5 alone",
	} {
		_, problems := grammar().Parse(f, map[string]string{given: "5"})
		if !problems.HasErrors() || problems[0].Message != want {
			t.Errorf("%s: got %v, want %s", given, problems, want)
		}
	}
}

func TestDigestTellsFilesAndVariablesApart(t *testing.T) {
	p := parseGood(t, withVars, nil)
	q := parseGood(t, withVars+"# more\n", nil)
	seen := map[string]bool{}
	for _, d := range []string{p.Digest(nil), q.Digest(nil), p.Digest(map[string]string{"a": "b"}), p.Digest(map[string]string{"ab": ""})} {
		if len(d) != 64 || seen[d] {
			t.Errorf("got digest %q", d)
		}
		seen[d] = true
	}
	if p.Digest(nil) != p.Digest(map[string]string{}) {
		t.Error("no variables and none given differ")
	}
}
