package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// find returns the path of a program. One without a separator is looked for in
// the PATH of env, or in this process's own when env has none.
func find(program string, env []string) (string, error) {
	if strings.ContainsRune(program, '/') || strings.ContainsRune(program, filepath.Separator) {
		return program, nil // relative to the folder that it runs in
	}
	path, where := os.Getenv("PATH"), "PATH"
	for _, e := range env {
		key, value, _ := strings.Cut(e, "=")
		if key == "PATH" || runtime.GOOS == "windows" && strings.EqualFold(key, "PATH") {
			path, where = value, "its PATH"
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // would depend on where this process runs
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("program %s: not found in %s", program, where)
}
