// Package nginx makes an image of Debian's nginx for the end-to-end tests, the
// way nginx's own images are: sh and the few programs beside it, logs to the
// container's output, SIGQUIT to end.
package nginx

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tag changes with what is in the image.
const tag = "3"

// packages are what nginx needs of Debian to run, and a shell.
func packages() []string {
	return []string{"nginx", "nginx-common", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g", "busybox-static"}
}

// Image pushes the image to a registry that speaks plain HTTP, such as
// localhost:5000, unless it is there, and returns its name. It needs apt-get
// with package lists, dpkg and buildah; what it downloads is kept in the
// user's cache folder.
func Image(ctx context.Context, registry string) (string, error) {
	name := registry + "/headgate-test/nginx"
	if has(ctx, registry, "headgate-test/nginx") {
		return name + ":" + tag, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("make image of nginx: %w", err)
	}
	dir := filepath.Join(cache, "headgate-test-nginx", tag)
	if _, err := os.Stat(filepath.Join(dir, "Dockerfile")); err != nil {
		if err := unpack(ctx, dir); err != nil {
			return "", fmt.Errorf("make image of nginx: %w", err)
		}
	}
	for _, args := range [][]string{
		{"buildah", "bud", "--isolation", "chroot", "-q", "-t", name + ":" + tag, dir},
		{"buildah", "push", "-q", "--tls-verify=false", name + ":" + tag},
	} {
		if err := run(ctx, dir, args...); err != nil {
			return "", fmt.Errorf("make image of nginx: %w", err)
		}
	}
	return name + ":" + tag, nil
}

// has asks the registry for the image.
func has(ctx context.Context, registry, repository string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+registry+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// unpack lays out the image's files. The Dockerfile is written last, so that
// a folder that has it is whole.
func unpack(ctx context.Context, dir string) error {
	root, debs := filepath.Join(dir, "root"), filepath.Join(dir, "debs")
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	if err := run(ctx, debs, append([]string{"apt-get", "download"}, packages()...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := run(ctx, dir, "dpkg", "-x", f, root); err != nil {
			return err
		}
	}
	for _, d := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "etc/nginx/sites-enabled"} {
		if err := os.RemoveAll(filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, d := range []string{"tmp", "run", "var/log/nginx", "var/lib/nginx", "proc", "dev", "etc/nginx/sites-enabled"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	links := map[string]string{"var/log/nginx/access.log": "/dev/stdout", "var/log/nginx/error.log": "/dev/stderr"}
	for _, p := range []string{"sh", "cat", "ln", "mktemp", "rm"} {
		links["bin/"+p] = "busybox"
	}
	for at, to := range links {
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	for name, text := range map[string]string{
		"root/etc/passwd":        "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
		"root/etc/group":         "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
		"root/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	dockerfile := "FROM scratch\nCOPY root /\nSTOPSIGNAL SIGQUIT\nENTRYPOINT [\"nginx\"]\nCMD [\"-g\", \"daemon off;\"]\n"
	return os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644)
}

func run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
