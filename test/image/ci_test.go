//go:build e2e

package image_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImageForCISaysWhatItIs(t *testing.T) {
	c := inspect(t, shared.big)
	if c.User != "65532:65532" {
		t.Errorf("it runs as %q", c.User)
	}
	// GitLab and Jenkins start a shell in it.
	if diff := cmp.Diff([]string{"bash"}, c.Cmd); diff != "" || len(c.Entrypoint) > 0 {
		t.Errorf("entrypoint %q, command (-want +got): %s", c.Entrypoint, diff)
	}
	wantLabels(t, c.Labels)
}

func TestImageForCIIsNotLargerThanItMust(t *testing.T) {
	dir := mount(t, container(t, shared.big))
	total := int64(0)
	for path, info := range files(t, dir) {
		if info.Mode().IsRegular() {
			total += info.Size()
		}
		for _, left := range []string{"/var/lib/apt/lists/", "/var/cache/apt/", "/out/", "/src/"} {
			if strings.HasPrefix(path, left) {
				t.Errorf("%s was left behind", path)
			}
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 && strings.Contains(path, "/new") && strings.HasSuffix(path, "idmap") {
			t.Errorf("%s is %s: by capabilities it works with less", path, info.Mode())
		}
	}
	t.Logf("%d MB", total/1e6)
	if total > 600e6 {
		t.Errorf("it has %d MB", total/1e6)
	}
	wantStatic(t, filepath.Join(dir, "/usr/local/bin/headgate"))
}

func TestImageForCIRunsAPipelineAsAnybody(t *testing.T) {
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			id := container(t, shared.big)
			dir := work(t, `stages:
  - name: tools
    test: |
      git --version
      docker --version
      buildah --version
`)
			out, err := shared.store.buildah(t.Context(), "run", "--isolation", "chroot", "--user", user, "--volume", dir+":/work", id, "--",
				"bash", "-c", "cd /work && unset HOME && exec headgate run --journal file:/tmp/journal")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"git version", "Docker version", "buildah version", "delivered"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in %s", want, out)
				}
			}
		})
	}
}

// building is a pipeline that builds an image of the binary itself and runs
// it in there, so that no base image has to be fetched.
const building = `stages:
  - name: image
    build: {image: localhost/inside, tag: one, push: false, tool: buildah}
`

// TestImageForCIBuildsImagesAsAnybody needs a runtime that gives the
// container a root of its own: in a changed root alone, as by chroot, the
// kernel refuses user namespaces.
func TestImageForCIBuildsImagesAsAnybody(t *testing.T) {
	need(t)
	runtime, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("running containers needs runc")
	}
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			id := container(t, shared.big)
			dir := work(t, building)
			write(t, dir, "Dockerfile", "FROM scratch\nCOPY headgate /\nRUN [\"/headgate\", \"version\"]\n")
			out, err := shared.store.buildah(t.Context(), "run", "--isolation", "oci", "--runtime", runtime, "--user", user, "--volume", dir+":/work", id, "--",
				"bash", "-c", "unset HOME; cd /work && cp /usr/local/bin/headgate . && exec headgate run --journal file:/tmp/journal")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"| headgate 1.2.3 ", "ref = localhost/inside:one", "delivered"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in %s", want, out)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "headgate")); err != nil {
				t.Error(err)
			}
		})
	}
}
