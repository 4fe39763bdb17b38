package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A requirement is a program that the cluster, or the tests that build images
// for it, cannot do without, and the Debian package that has it.
type requirement struct {
	program string // a name to look up, or a path
	pkg     string
}

func requirements() []requirement {
	return []requirement{
		{"etcd", "etcd-server"},
		{"containerd", "containerd"},
		{"runc", "runc"},
		{cniBin + "/bridge", "containernetworking-plugins"},
		{cniBin + "/host-local", "containernetworking-plugins"},
		{"ip", "iproute2"},
		{"iptables", "iptables"},
		{"buildah", "buildah"},
		{"mmdebstrap", "mmdebstrap"},
		{"prometheus", "prometheus"},
		{"redis-server", "redis-server"},
	}
}

// missing returns the packages of the requirements that are not met, each
// once, and in order.
func missing(all []requirement, found func(program string) bool) []string {
	var packages []string
	for _, r := range all {
		if !found(r.program) && !slices.Contains(packages, r.pkg) {
			packages = append(packages, r.pkg)
		}
	}
	return packages
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// widenPath makes the programs findable that Debian puts where only root
// looks; sudo and cron may have left those folders out.
func widenPath() error {
	path := os.Getenv("PATH")
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(filepath.SplitList(path), dir) {
			path += string(filepath.ListSeparator) + dir
		}
	}
	return os.Setenv("PATH", path)
}

// installMissing installs the Debian packages that are not there yet.
func (c *cluster) installMissing(ctx context.Context) error {
	packages := missing(requirements(), installed)
	if len(packages) == 0 {
		return nil
	}
	if !installed("apt-get") {
		return fmt.Errorf("install programs: no apt-get here; install what these Debian packages hold: %s", strings.Join(packages, " "))
	}
	c.say("installing %s", strings.Join(packages, " "))
	args := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if err := aptGet(ctx, args...); err != nil {
		// A machine that never fetched the package lists knows no package.
		if updateErr := aptGet(ctx, "update"); updateErr != nil {
			return updateErr
		}
		if err := aptGet(ctx, args...); err != nil {
			return err
		}
	}
	if still := missing(requirements(), installed); len(still) > 0 {
		return fmt.Errorf("install programs: installed, and still not found: %s", strings.Join(still, " "))
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run apt-get %s: %w\n%s", args[0], err, lastLines(string(out), 10))
	}
	return nil
}
