package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/internal/golden"
)

// run runs a command line in an environment of its own.
func run(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	s := cli.Streams{
		In: strings.NewReader(""), Out: &out, Err: &errs,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Environ:   func() []string { return nil },
		Signals:   make(chan os.Signal),
		Exit:      func(code int) { t.Errorf("the process would exit with %d", code) },
		Build:     cli.Build{Version: "v1.2.3", Commit: "0123456789abcdef0123456789abcdef01234567", Date: "2026-11-23T10:00:00Z"},
	}
	code = cli.Main(args, s)
	return out.String(), errs.String(), code
}

// commands are all that there are, "" being the program itself.
var commands = []string{"", "demo", "demo users", "validate", "plan", "run", "recover", "rollback", "status", "report", "schema", "version", "completion"}

// The reference page of the command line is what the commands say of
// themselves; run with -update to write it anew.
func TestHelpIsTheReference(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The command line\n\nThis page is written by a test from the commands' own help.\n")
	for _, name := range commands {
		args := append(strings.Fields(name), "--help")
		out, errs, code := run(t, nil, args...)
		if code != 0 || errs != "" {
			t.Errorf("%q: got code %d, stderr %q", args, code, errs)
		}
		page.WriteString("\n## " + strings.TrimSpace("headgate "+name) + "\n\n```text\n" + out + "```\n")
	}
	golden.EqualFile(t, "../../docs/reference/command-line.md", []byte(page.String()))
}

func TestEveryFlagShowsItsTwin(t *testing.T) {
	for _, name := range commands {
		out, _, _ := run(t, nil, append(strings.Fields(name), "--help")...)
		_, flags, _ := strings.Cut(out, "\nFlags:\n")
		text := strings.Join(strings.Fields(flags), " ")
		for word := range strings.FieldsSeq(text) {
			flag, ok := strings.CutPrefix(word, "--")
			if !ok || flag == "help" || strings.Contains(flag, "=") {
				continue
			}
			twin := "[HEADGATE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) + "]"
			if !strings.Contains(text, twin) && !strings.Contains(flag, "report") {
				t.Errorf("%s --%s: no %s in its help", name, flag, twin)
			}
		}
	}
}

func TestErrorsHaveOnePlaceAndOneForm(t *testing.T) {
	_, errs, code := run(t, map[string]string{"HEADGATE_STRICT": "perhaps"}, "validate")
	want := "headgate: error: invalid value of HEADGATE_STRICT: invalid argument \"perhaps\" for \"--strict\" flag: strconv.ParseBool: parsing \"perhaps\": invalid syntax\n"
	if code != 2 || errs != want {
		t.Errorf("got %d, %q, want 2, %q", code, errs, want)
	}
}

func TestVersionIsTheOneBuiltIn(t *testing.T) {
	out, _, _ := run(t, nil, "version")
	want := "headgate 1.2.3 (commit 0123456789abcdef0123456789abcdef01234567, 2026-11-23T10:00:00Z, " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")\n"
	if out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestVersionAsJSON(t *testing.T) {
	out, errs, code := run(t, nil, "version", "--json")
	var got map[string]string
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("got exit code %d, %v: %s%s", code, err, out, errs)
	}
	want := map[string]string{
		"version": "1.2.3", "commit": "0123456789abcdef0123456789abcdef01234567", "date": "2026-11-23T10:00:00Z",
		"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
