//go:build unix

package stages_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// fakeTool writes down how it is called, and does as much of what docker,
// podman and buildah do as the stage relies on.
const fakeTool = `#!/bin/sh
tool=${0##*/}
echo "$tool $*" | sed "s#$PWD#PWD#g; s#/[a-z/]*/headgate-build-[0-9]*#TMP#g" >>"$CALLS"
case "$1 $2" in
"version "* | "info "*)
	case " $BROKEN " in *" $tool "*) echo "Cannot connect to the engine"; exit 1;; esac
	exit 0;;
esac
test -z "$SLOW" || sleep 60
case "$*" in
build*|"buildx build"*)
	while [ $# -gt 0 ]; do
		case "$1" in
		--secret) echo "secret $(cat "${2#*src=}") $(stat -c %a "${2#*src=}")" >>"$CALLS";;
		--metadata-file) echo "{\"containerimage.digest\":\"$DIGEST\"}" >"$2";;
		esac
		shift
	done
	exit ${FAIL:-0};;
*push*)
	test $tool != docker || echo "v1: digest: $DIGEST size: 528"
	while [ $# -gt 0 ]; do test "$1" != --digestfile || printf %s "$DIGEST" >"$2"; shift; done;;
esac
`

// workshop is a folder with a Dockerfile and the given tools in PATH.
func workshop(t *testing.T, tools ...string) (calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	bin := filepath.Join(t.TempDir(), "bin")
	must(t, os.Mkdir(bin, 0o700))
	for _, tool := range tools {
		must(t, os.WriteFile(filepath.Join(bin, tool), []byte(fakeTool), 0o700))
	}
	for _, tool := range []string{"sh", "sed", "cat", "stat", "sleep"} {
		for _, from := range []string{"/bin/", "/usr/bin/"} {
			if _, err := os.Stat(from + tool); err == nil {
				must(t, os.Symlink(from+tool, filepath.Join(bin, tool)))
				break
			}
		}
	}
	must(t, os.WriteFile("Dockerfile", []byte("FROM scratch\n"), 0o600))
	t.Setenv("PATH", bin)
	t.Setenv("CALLS", filepath.Join(dir, "calls"))
	t.Setenv("DIGEST", digest)
	t.Setenv("BUILDAH_ISOLATION", "chroot")
	return func() []string {
		b, err := os.ReadFile(filepath.Join(dir, "calls"))
		must(t, err)
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBuildCallsTheTool(t *testing.T) {
	full := `{image: "localhost:5000/shop/user", tag: v1, context: ., target: prod, args: {VERSION: "${{ run.commit }}"},
      secrets: {npm: "${{ secrets.token }}"}%s}`
	tests := []struct {
		name   string
		tools  string
		broken string
		stage  string
		want   []string
	}{
		{"docker", "docker podman buildah", "", strings.Replace(full, "%s", "", 1), []string{
			"docker version --format {{.Server.Version}}",
			"docker build --tag localhost:5000/shop/user:v1 --file Dockerfile --target prod --build-arg VERSION=abc123 --secret id=npm,src=TMP/secret-1 .",
			"secret hunter2 600",
			"docker push localhost:5000/shop/user:v1",
		}},
		{"docker for several platforms", "docker", "", strings.Replace(full, "%s", ", platforms: [linux/amd64, linux/arm64]", 1), []string{
			"docker version --format {{.Server.Version}}",
			"docker buildx build --tag localhost:5000/shop/user:v1 --push --metadata-file TMP/metadata.json --file Dockerfile --target prod --build-arg VERSION=abc123 --platform linux/amd64,linux/arm64 --secret id=npm,src=TMP/secret-1 .",
			"secret hunter2 600",
		}},
		{"no engine behind docker", "docker podman buildah", "docker", `{image: ghcr.io/acme/user}`, []string{
			"docker version --format {{.Server.Version}}",
			"podman info",
			"podman build --tag ghcr.io/acme/user:abc123 --format docker --file Dockerfile .",
			"podman push --digestfile TMP/digest ghcr.io/acme/user:abc123 docker://ghcr.io/acme/user:abc123",
		}},
		{"buildah alone", "buildah", "", `{image: localhost:5000/user}`, []string{
			"buildah info",
			"buildah build --tag localhost:5000/user:abc123 --format docker --file Dockerfile .",
			"buildah push --digestfile TMP/digest --tls-verify=false localhost:5000/user:abc123 docker://localhost:5000/user:abc123",
		}},
		{"buildah for several platforms", "buildah", "", `{image: 127.0.0.1:5000/user, platforms: [linux/amd64, linux/arm64]}`, []string{
			"buildah info",
			"buildah build --manifest 127.0.0.1:5000/user:abc123 --format docker --file Dockerfile --platform linux/amd64,linux/arm64 .",
			"buildah manifest push --all --digestfile TMP/digest --tls-verify=false 127.0.0.1:5000/user:abc123 docker://127.0.0.1:5000/user:abc123",
		}},
		{"named tool", "docker buildah", "", `{image: ghcr.io/acme/user, tool: buildah, push: false}`, []string{
			"buildah info",
			"buildah build --tag ghcr.io/acme/user:abc123 --format docker --file Dockerfile .",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := workshop(t, strings.Fields(tt.tools)...)
			t.Setenv("BROKEN", tt.broken)
			r := newShellRun()
			r.secrets = map[string]string{"token": "hunter2"}
			result, rec := r.run(t.Context(), t, "  - name: image\n    build: "+tt.stage+"\n")
			if result.Ending != pipeline.Delivered {
				t.Fatalf("got %+v, printed %q", result, rec.lines())
			}
			if d := cmp.Diff(tt.want, withoutRepeats(calls())); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
			out := rec.outputs("image")
			if push := !strings.Contains(tt.stage, "push: false"); push != strings.HasSuffix(out["ref"], "@"+digest) || push != (out["digest"] == digest) {
				t.Errorf("outputs: got %v", out)
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "headgate-build-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// withoutRepeats drops the questions of the preflights.
func withoutRepeats(calls []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, c := range calls {
		if !seen[c] {
			out = append(out, c)
		}
		seen[c] = true
	}
	return out
}

// saying is a registry that always says the same.
type saying struct {
	ref string
	err error
}

func (s saying) Resolve(context.Context, string) (string, error) { return s.ref, s.err }

func TestBuildFails(t *testing.T) {
	tests := []struct {
		name, tools, env, stage, want string
		registry                      stages.Registry
	}{
		{"no tool", "", "", `{image: ghcr.io/acme/user}`, "find a tool to build images", nil},
		{"no tool that works", "docker", "BROKEN=docker", `{image: ghcr.io/acme/user}`, "Cannot connect to the engine", nil},
		{"named tool does not work", "docker buildah", "BROKEN=docker", `{image: ghcr.io/acme/user, tool: docker}`, "Cannot connect to the engine", nil},
		{"build fails", "docker", "FAIL=3", `{image: ghcr.io/acme/user}`, "build ghcr.io/acme/user:abc123: docker ended with exit code 3", nil},
		{"no digest", "docker", "DIGEST=x", `{image: ghcr.io/acme/user}`, "named no digest", nil},
		{"no digest in the file", "buildah", "DIGEST=x", `{image: ghcr.io/acme/user}`, "read digest", nil},
		{"timeout", "docker", "SLOW=1", `{image: ghcr.io/acme/user, timeout: 1s}`, "timed out after 1s", nil},
		{"not in the registry", "docker", "", `{image: ghcr.io/acme/user}`, "check pushed image: MANIFEST_UNKNOWN", saying{err: errors.New("MANIFEST_UNKNOWN")}},
		{"another digest in the registry", "docker", "", `{image: ghcr.io/acme/user}`, "where ghcr.io/acme/user@" + digest + " was pushed", saying{ref: "ghcr.io/acme/user@sha256:1"}},
		{"tag from outside is no tag", "docker", "", `{image: ghcr.io/acme/user, tag: "${{ run.commit }} --push"}`, "cannot be the tag", nil},
		{"image from outside is an option", "docker", "", `{image: "${{ '--' + run.commit }}"}`, "cannot be the name of an image", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			workshop(t, strings.Fields(tt.tools)...)
			if key, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(key, value)
			}
			r := newShellRun()
			if tt.registry != nil {
				r.parts.Registry = tt.registry
			}
			result, rec := r.run(t.Context(), t, "  - name: image\n    build: "+tt.stage+"\n")
			all := []string{result.Reason}
			for _, f := range result.Findings {
				all = append(all, f.Message)
			}
			text := strings.Join(all, " ")
			if result.Ending != pipeline.FailedUnchanged || !strings.Contains(text, tt.want) {
				t.Errorf("got %+v, want failed with %q", result, tt.want)
			}
			if rec.outputs("image") != nil {
				t.Error("the stage passed")
			}
		})
	}
}

func TestBuildIsCheckedWithTheFile(t *testing.T) {
	tests := []struct{ stage, want string }{
		{`{image: Shop/User}`, "cannot be the name of an image"},
		{`{image: "ghcr.io/acme/user:v1"}`, "has a tag or a digest"},
		{`{image: "localhost:5000/acme/user@` + digest + `"}`, "has a tag or a digest"},
		{`{image: ghcr.io/acme/user, tag: a b}`, `"a b" cannot be a tag`},
		{`{image: ghcr.io/acme/user, platforms: [arm]}`, "is not a platform"},
		{`{image: ghcr.io/acme/user, platforms: [linux/arm64, linux/amd64], push: false}`, "can only be pushed"},
		{`{image: ghcr.io/acme/user, tool: dokcer}`, `"dokcer" is not known here`},
	}
	for _, tt := range tests {
		file := "version: 1\nname: shop\nstages:\n  - name: image\n    build: " + tt.stage + "\n"
		_, problems := pipeline.Parse(source.File{Name: "f.yaml", Data: []byte(file)}, stages.Grammar(&stages.Parts{}))
		if !problems.HasErrors() || !strings.Contains(problems.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.stage, problems, tt.want)
		}
	}
}
