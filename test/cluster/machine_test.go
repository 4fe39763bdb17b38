package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMissingPackages(t *testing.T) {
	all := []requirement{{"etcd", "etcd-server"}, {"/cni/bridge", "cni"}, {"/cni/host-local", "cni"}, {"ip", "iproute2"}}
	for _, test := range []struct {
		name  string
		there []string
		want  []string
	}{
		{"nothing there", nil, []string{"etcd-server", "cni", "iproute2"}},
		{"half a package", []string{"etcd", "/cni/bridge", "ip"}, []string{"cni"}},
		{"all there", []string{"etcd", "/cni/bridge", "/cni/host-local", "ip"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := missing(all, func(program string) bool { return slices.Contains(test.there, program) })
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestInstalledKnowsPathsAndNames(t *testing.T) {
	program := filepath.Join(t.TempDir(), "etcd")
	if installed(program) {
		t.Error("got a missing program installed, want not")
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(program))
	for _, name := range []string{program, "etcd"} {
		if !installed(name) {
			t.Errorf("%s: got not installed, want installed", name)
		}
	}
}

func TestMountsBelowTheStateFolderInnermostFirst(t *testing.T) {
	const table = `/dev/vda / ext4 rw 0 0
tmpfs /state/kubelet/pods/a tmpfs rw 0 0
overlay /state/containerd/run/b/rootfs overlay rw 0 0
tmpfs /state/kubelet/pods/a/inner tmpfs rw 0 0
tmpfs /state-of-another tmpfs rw 0 0
`
	want := []string{"/state/kubelet/pods/a/inner", "/state/containerd/run/b/rootfs", "/state/kubelet/pods/a"}
	if got := mountsBelow(table, "/state"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRestoreMachineRemovesWhatWasNotThere(t *testing.T) {
	c := testCluster(t)
	outside := t.TempDir()
	for _, dir := range []string{"empty", "used/by-another", "before"} {
		if err := os.MkdirAll(filepath.Join(outside, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(machine{Absent: []string{filepath.Join(outside, "empty"), filepath.Join(outside, "used")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path("machine.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.restoreMachine(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(outside + "/*")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{outside + "/before", outside + "/used"}; !slices.Equal(left, want) {
		t.Errorf("got %v left, want %v", left, want)
	}
}
