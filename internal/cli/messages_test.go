package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// What the command line says to whoever uses it wrongly: one message, with
// what to do, and an exit code. Nothing of it changes anything.
func TestWrongUse(t *testing.T) {
	goldenFile, err := filepath.Abs("testdata/messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("headgate.yaml", "version: 1\nname: shop\nstages:\n  - name: unit\n    test: \"true\"\n  - name: next\n    test: \"true\"\n")
	write("secret.yaml", "version: 1\nname: shop\nsecrets:\n  a: {env: NOT_THERE}\n  b: {file: gone}\nstages:\n  - name: unit\n    test: \"true\"\n")
	write("redis.yaml", "version: 1\nname: shop\nsecrets: {pw: {env: PW}}\nredis: \"redis://:${{ secrets.pw }}@127.0.0.1:no-port/0\"\nstages:\n  - name: f\n    flag: {name: f, steps: [{setPercentage: 5}]}\n")
	write("prometheus.yaml", "version: 1\nname: shop\nprometheus: somewhere\ngates: {slo: [errorRate: 5%]}\nstages:\n  - name: g\n    gate: slo\n")
	write("canary.yaml", "version: 1\nname: shop\nstages:\n  - name: r\n    canary: {deployment: d, image: i, traffic: {httpRoute: r}, steps: [{setWeight: 5}]}\n")
	write("empty.yaml", "")
	write("large.yaml", strings.Repeat("#", source.MaxSize+1))
	write("image.png", "\x89PNG\r\n\x1a\n\x00\x00\x00")
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	before := listing(t)
	var page bytes.Buffer
	for _, line := range []string{
		"frobnicate", "vlidate", "help frobnicate", "run --frobnicate", "run a.yaml b.yaml", "run -f a.yaml b.yaml", "version now",
		"validate gone.yaml", "validate -", "validate folder", "validate empty.yaml", "validate large.yaml", "validate image.png",
		"run --var", "run --var image", "run --var =x", "run --var image=x",
		"run --from unti", "run --from next --until unit", "plan --until nothing",
		"run --on-unfinished wait", "run --color blue", "run --journal nowhere", "run --journal memory:folder",
		"run --report html", "run --report json=", "run --report json --report markdown", "run --report json=gone/run.jsonl",
		"run secret.yaml", "run redis.yaml", "run prometheus.yaml", "run --kubeconfig gone canary.yaml",
		"status", "recover", "rollback", "report", "report --events gone.jsonl", "report --events headgate.yaml", "report --events a.jsonl headgate.yaml",
		"status --pipeline Shop!", "completion", "completion tcsh",
	} {
		out, errs, code := run(t, map[string]string{"PW": "hunter2hunter2", "HOME": dir}, strings.Fields(line)...)
		fmt.Fprintf(&page, "$ headgate %s\n%s%s=> %d\n\n", line, out, errs, code)
	}
	if strings.Contains(page.String(), "hunter2") {
		t.Error("a secret is shown")
	}
	if after := listing(t); after != before {
		t.Errorf("files have changed: got %s, want %s", after, before)
	}
	golden.EqualFile(t, goldenFile, page.Bytes())
}

// listing are the files of the folder.
func listing(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := filepath.Glob(".*")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(found, hidden)
}
