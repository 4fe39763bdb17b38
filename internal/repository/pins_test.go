package repository_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	uses = regexp.MustCompile(`(?m)^[ >]*(?:- )?uses: *(.+)$`)
	// pinned is an action by the full hash of a commit, with its version beside.
	pinned = regexp.MustCompile(`^([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # (v\d+(?:\.\d+)*)$`)
)

// withActions are all files in which an action of others may be used.
func withActions(t *testing.T) []string {
	t.Helper()
	all := []string{filepath.Join(root, "action.yml"), filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}
	for _, dir := range []string{".github", "action", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && slices.Contains([]string{".yml", ".yaml", ".md"}, filepath.Ext(path)) {
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

// own reports an action of this repository: by its path, or as users write it.
func own(name string) bool {
	return strings.HasPrefix(name, "./") || strings.HasPrefix(name, "headgate-dev/headgate@")
}

// A tag of an action can be moved to other code at any time; a commit cannot.
func TestActionsArePinned(t *testing.T) {
	hashes := map[string]string{} // by name and version
	for _, path := range withActions(t) {
		for _, m := range uses.FindAllStringSubmatch(read(t, path), -1) {
			if own(m[1]) {
				continue
			}
			pin := pinned.FindStringSubmatch(m[1])
			if pin == nil {
				t.Errorf("%s: %q is not pinned to a commit with its version beside", path, m[1])
				continue
			}
			// actions/cache/save is of the repository actions/cache.
			parts := strings.SplitN(pin[1], "/", 3)
			release := parts[0] + "/" + parts[1] + " " + pin[3]
			if known := hashes[release]; known != "" && known != pin[2] {
				t.Errorf("%s: %s is %s here and %s elsewhere", path, release, pin[2], known)
			}
			hashes[release] = pin[2]
		}
	}
	if len(hashes) < 5 {
		t.Errorf("got %d actions, want more", len(hashes))
	}
}

func TestPinsAreRecognised(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	for text, want := range map[string]bool{
		"actions/checkout@" + hash + " # v7.0.1":   true,
		"actions/cache/save@" + hash + " # v6":     true,
		"actions/checkout@v7":                      false,
		"actions/checkout@" + hash:                 false,
		"actions/checkout@" + hash[:39] + " # v7":  false,
		"actions/checkout@" + hash + " # main":     false,
		"docker://alpine@sha256:" + hash + " # v1": false,
	} {
		if got := pinned.MatchString(text); got != want {
			t.Errorf("%s: pinned is %t, want %t", text, got, want)
		}
	}
}

// The image golang takes no other toolchain than its own.
func TestTheImageIsCompiledByAGoThatGoModAllows(t *testing.T) {
	image := regexp.MustCompile(`(?m)^ARG BUILDER=\S*golang:(\d+)\.(\d+)\.(\d+)-`).FindStringSubmatch(read(t, filepath.Join(root, "Dockerfile")))
	mod := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)\.(\d+)$`).FindStringSubmatch(read(t, filepath.Join(root, "go.mod")))
	if image == nil || mod == nil {
		t.Fatalf("the Dockerfile has %q, go.mod %q", image, mod)
	}
	for i := 1; i <= 3; i++ {
		if len(image[i]) != len(mod[i]) || image[i] != mod[i] {
			if len(image[i]) < len(mod[i]) || len(image[i]) == len(mod[i]) && image[i] < mod[i] {
				t.Errorf("the image is compiled by go %s, go.mod wants %s", image[0], mod[0])
			}
			return
		}
	}
}

// The action finds archives by the names that .goreleaser.yaml gives them.
func TestArchivesHaveTheNamesThatTheActionAsksFor(t *testing.T) {
	var release struct {
		Archives []struct {
			Name    string   `json:"name_template"`
			Formats []string `json:"formats"`
			Windows []struct {
				OS      string   `json:"goos"`
				Formats []string `json:"formats"`
			} `json:"format_overrides"`
		} `json:"archives"`
		Checksum struct {
			Name string `json:"name_template"`
		} `json:"checksum"`
	}
	decode(t, filepath.Join(root, ".goreleaser.yaml"), &release)
	if len(release.Archives) != 1 || release.Archives[0].Name != "headgate_{{ .Version }}_{{ .Os }}_{{ .Arch }}" ||
		!slices.Equal(release.Archives[0].Formats, []string{"tar.gz"}) || release.Archives[0].Windows[0].Formats[0] != "zip" ||
		release.Checksum.Name != "checksums.txt" {
		t.Errorf("archives have other names than action/install asks for: %+v", release)
	}
}

func TestReleaseNotesAreThoseOfTheVersion(t *testing.T) {
	changelog := filepath.Join(t.TempDir(), "CHANGELOG.md")
	text := "# Changelog\n\n## Unreleased\n\nlater\n\n## 1.2.3 - 2026-11-23\n\n### Added\n\n- this\n\n## 1.2.2 - 2026-11-01\n\nearlier\n\n## [1.0.0]\n\nfirst\n\n## 0.9.0\n"
	if err := os.WriteFile(changelog, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, want string }{
		{"1.2.3", "### Added\n\n- this\n"},
		{"1.2.2", "earlier\n"},
		{"1.0.0", "first\n"},
		{"0.9.0", ""}, // nothing is told of it
		{"1.2", ""},
		{"9.9.9", ""},
	} {
		out, err := script(t, ".github/release-notes", c.version, changelog)
		if (err != nil) != (c.want == "") || c.want != "" && out != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.version, out, err, c.want)
		}
	}
}

// script runs a script of this repository.
func script(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("it is for bash")
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, name), args...).Output()
	return string(out), err
}

// Whoever builds a binary leaves the same out of it.
func TestBinariesAreBuiltAlike(t *testing.T) {
	for _, name := range []string{"Makefile", "Dockerfile", ".goreleaser.yaml", "action/install"} {
		text := read(t, filepath.Join(root, name))
		for _, part := range []string{"-trimpath", "CGO_ENABLED=0", "-s -w"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s builds without %s", name, part)
			}
		}
	}
}
