package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// releases is a server of archives, by their path, that counts its answers.
type releases struct {
	*httptest.Server
	archives map[string][]byte
	asked    []string
}

func newReleases(t *testing.T, versions ...string) *releases {
	t.Helper()
	r := &releases{archives: map[string][]byte{}}
	for _, v := range versions {
		r.archives["/v"+v+"/headgate_"+v+"_linux_amd64.tar.gz"] = archive(t, "#!/bin/sh\necho \"headgate "+v+"\"\n")
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked = append(r.asked, q.URL.Path)
		body, ok := r.archives[q.URL.Path]
		if !ok {
			http.NotFound(w, q)
			return
		}
		_, _ = w.Write(body) // curl sees what is missing
	}))
	t.Cleanup(r.Close)
	return r
}

// table is what a release says of its archives.
func (r *releases) table() string {
	var b strings.Builder
	for path, body := range r.archives {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(body), filepath.Base(path))
	}
	return b.String()
}

func archive(t *testing.T, script string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"headgate": script, "LICENSE": "x"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newInstall returns a runner whose action knows the released versions.
func newInstall(t *testing.T, r *releases) *runner {
	t.Helper()
	run := newRunner(t, delivered)
	run.inputs["mirror"] = r.URL + "/"
	install, err := os.ReadFile("../../action/install")
	if err != nil {
		t.Fatal(err)
	}
	run.path = t.TempDir()
	if err := os.Mkdir(filepath.Join(run.path, "action"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run.path, "action", "install"), install, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run.path, "action", "checksums.txt"), []byte(r.table()), 0o600); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestTheActionInstallsTheVersionThatIsAskedFor(t *testing.T) {
	for _, c := range []struct{ name, version, want string }{
		{"the newest, and none before its release", "", "0.10.0"},
		{"one that is named", "0.9.1", "0.9.1"},
		{"one that is named like its tag", "v0.9.1", "0.9.1"},
		{"one before its release", "0.11.0-rc.1", "0.11.0-rc.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := newReleases(t, "0.9.1", "0.10.0", "0.11.0-rc.1")
			r := newInstall(t, server)
			r.inputs["version"] = c.version
			out, code := r.step(t, "install")
			if code != 0 || !strings.Contains(out, "headgate "+c.want+"\n") {
				t.Fatalf("got exit code %d, want version %s\n%s", code, c.want, out)
			}
			if binary := r.outputs(t)["binary"]; !filepath.IsAbs(binary) {
				t.Errorf("got binary %q", binary)
			}
			// The next job on this runner downloads nothing.
			if out, code := r.step(t, "install"); code != 0 || len(server.asked) != 1 {
				t.Errorf("the second time: exit code %d, asked for %q\n%s", code, server.asked, out)
			}
		})
	}
}

func TestTheActionInstallsNothingElse(t *testing.T) {
	const version = "0.9.1"
	const file = "headgate_0.9.1_linux_amd64.tar.gz"
	evil := func(t *testing.T) []byte { return archive(t, "#!/bin/sh\necho evil\n") }
	for _, c := range []struct {
		name, version, want string
		before              func(t *testing.T, s *releases, r *runner)
	}{
		{name: "a version that it does not know", version: "7.7.7", want: "this action knows no headgate 7.7.7 for linux/amd64; it knows 0.9.1 and a newer version needs a newer commit of the action"},
		{name: "what is no version", version: "0.9.1\n::set-output name=binary::/bin/sh", want: "the input version is no version"},
		{name: "what leads elsewhere", version: "../../x", want: "the input version is no version"},
		{
			name: "an archive that is another one", version: version, want: "its SHA-256 is another one",
			before: func(t *testing.T, s *releases, _ *runner) { s.archives["/v"+version+"/"+file] = evil(t) },
		},
		{
			name: "an archive that is gone", version: version, want: "cannot download headgate 0.9.1",
			before: func(_ *testing.T, s *releases, _ *runner) { clear(s.archives) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := newReleases(t, version)
			r := newInstall(t, server)
			r.inputs["version"] = c.version
			if c.before != nil {
				c.before(t, server, r)
			}
			out, code := r.step(t, "install")
			if code != 1 || !strings.Contains(out, "::error title=headgate::") || !strings.Contains(out, c.want) {
				t.Errorf("got exit code %d, want 1 and %q\n%s", code, c.want, out)
			}
			if strings.Contains(out, "evil") || len(r.outputs(t)) > 0 {
				t.Errorf("it went on with %q\n%s", r.outputs(t), out)
			}
		})
	}
}

// Another job of the same runner may have written to its cache.
func TestTheActionDoesNotTrustTheCache(t *testing.T) {
	server := newReleases(t, "0.9.1")
	r := newInstall(t, server)
	cached := filepath.Join(r.dir, "tools", "headgate", "0.9.1", "amd64", "headgate_0.9.1_linux_amd64.tar.gz")
	if out, code := r.step(t, "install"); code != 0 {
		t.Fatalf("got exit code %d\n%s", code, out)
	}
	if err := os.WriteFile(cached, archive(t, "#!/bin/sh\necho evil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := r.step(t, "install")
	if code != 0 || !strings.Contains(out, "headgate 0.9.1\n") || len(server.asked) != 2 {
		t.Errorf("got exit code %d, asked for %q\n%s", code, server.asked, out)
	}
}

// What a release says of its files becomes the table that the action reads.
func TestReleasesGetIntoTheTable(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the script is for bash")
	}
	dir := t.TempDir()
	script, err := os.ReadFile("../../action/add-checksums")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	add, table := write("add-checksums", string(script)), write("checksums.txt", "")
	sum := func(digit string) string { return strings.Repeat(digit, 64) }
	first := write("first", sum("a")+"  headgate_0.1.0_linux_amd64.tar.gz\n"+sum("b")+"  headgate_0.1.0_windows_arm64.zip\n"+
		sum("c")+"  headgate_0.1.0_amd64.deb\n"+sum("d")+"  headgate_0.1.0_linux_amd64.tar.gz.sbom.json\n")
	other := write("other", sum("e")+"  headgate_0.1.0_linux_amd64.tar.gz\n")
	empty := write("empty", "")
	for _, c := range []struct {
		file string
		ok   bool
	}{{first, true}, {first, true}, {other, false}, {empty, false}} {
		out, err := exec.CommandContext(t.Context(), "bash", add, c.file).CombinedOutput()
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v\n%s", filepath.Base(c.file), err, out)
		}
	}
	got, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	want := sum("a") + "  headgate_0.1.0_linux_amd64.tar.gz\n" + sum("b") + "  headgate_0.1.0_windows_arm64.zip\n"
	if string(got) != want {
		t.Errorf("got the table\n%swant\n%s", got, want)
	}
}

// The archives of a release are named as the action looks for them.
func TestTheActionAndTheReleaseAgreeOnNames(t *testing.T) {
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for _, s := range []string{`name_template: "headgate_{{ .Version }}_{{ .Os }}_{{ .Arch }}"`, "formats: [tar.gz]", "formats: [zip]", "goos: [linux, darwin, windows]", "goarch: [amd64, arm64]", "name_template: checksums.txt", "algorithm: sha256"} {
		if !strings.Contains(string(text), s) {
			wanted = append(wanted, s)
		}
	}
	if slices.Sort(wanted); len(wanted) > 0 {
		t.Errorf(".goreleaser.yaml does not say %q", wanted)
	}
}
