package main

import (
	"bufio"
	"cmp"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The goals for what a job downloads and for the memory of what it starts.
const (
	sizeGoal   = 75.0 // MB
	memoryGoal = 60.0 // MiB
	heaviest   = 12   // parts that are shown
)

// weightFigures shows the parts of the binary that weigh most, and memory.
func weightFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	info, err := os.Stat(s.binary)
	if err != nil {
		return err
	}
	size := float64(info.Size()) / 1e6
	fmt.Fprintf(out, "size of the stripped binary: %.1f MB; %s\n", size, within(size, sizeGoal, "MB"))
	parts, err := heaviestParts(ctx, s, dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "of that, the code of each part:")
	for _, p := range parts[:min(heaviest, len(parts))] {
		fmt.Fprintf(out, "  %6.1f MB  %s\n", float64(p.bytes)/1e6, p.name)
	}
	start, err := peak(ctx, s.binary, "version")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "memory of headgate version: %s\n", memory(start))
	idle, err := idleMemory(ctx, s.binary, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "memory of an idle headgate run --local: %s\n", memory(idle))
	return nil
}

func within(got, goal float64, unit string) string {
	if got <= goal {
		return fmt.Sprintf("goal %.0f %s met", goal, unit)
	}
	return fmt.Sprintf("GOAL %.0f %s MISSED", goal, unit)
}

func memory(kib int64) string {
	if kib == 0 {
		return "unknown on this system"
	}
	mib := float64(kib) / 1024
	return fmt.Sprintf("%.1f MiB; %s", mib, within(mib, memoryGoal, "MiB"))
}

// part is what one module has in the binary.
type part struct {
	name  string
	bytes int64
}

// heaviestParts links the program once more with its symbols, and adds up the
// code of each module, largest first. Most of the rest are tables about the
// code, such as those of its lines, and grow as it does.
func heaviestParts(ctx context.Context, s settings, dir string) ([]part, error) {
	path := filepath.Join(dir, "headgate-with-symbols")
	if err := buildWith(ctx, buildOptions{root: s.root, to: path, pkg: "./cmd/headgate", linker: "-w"}); err != nil {
		return nil, err
	}
	built, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	modules := []string{built.Main.Path}
	for _, m := range built.Deps {
		modules = append(modules, m.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "tool", "nm", "-size", path)
	cmd.Stderr = os.Stderr
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("list symbols: %w", err)
	}
	sums, err := addUp(lines, modules)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("list symbols: %w", err)
	}
	var all []part
	for name, bytes := range sums {
		all = append(all, part{name, bytes})
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name)) })
	return all, nil
}

// addUp reads lines of "address size type name".
func addUp(lines io.Reader, modules []string) (map[string]int64, error) {
	sums := map[string]int64{}
	scan := bufio.NewScanner(lines)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		fields := strings.Fields(scan.Text())
		if len(fields) < 4 || !strings.EqualFold(fields[2], "t") { // data is small, or zeros that are not in the file
			continue
		}
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue // a symbol that is none of ours has no size
		}
		sums[moduleOf(fields[3], modules)] += size
	}
	return sums, scan.Err()
}

// moduleOf is the module that a symbol belongs to.
func moduleOf(symbol string, modules []string) string {
	symbol = strings.NewReplacer("%2e", ".", "type:.eq.", "", "type:.hash.", "").Replace(symbol)
	symbol = strings.TrimLeft(symbol, "*[]().")
	best := "Go's runtime and standard library"
	longest := 0
	for _, m := range modules {
		rest, ok := strings.CutPrefix(symbol, m)
		if ok && len(m) > longest && (rest == "" || rest[0] == '.' || rest[0] == '/') {
			best, longest = m, len(m)
		}
	}
	return best
}

// peak is the most memory that a command had, in KiB; 0 where the system does
// not tell.
func peak(ctx context.Context, args ...string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	usage := reflect.Indirect(reflect.ValueOf(cmd.ProcessState.SysUsage())) // Windows' has no such field
	if field := usage.FieldByName("Maxrss"); field.IsValid() && field.CanInt() {
		return field.Int(), nil
	}
	return 0, nil
}

// idleMemory is what a local run has, in KiB, when there is nothing to do.
func idleMemory(ctx context.Context, binary, dir string) (int64, error) {
	dir = filepath.Join(dir, "idle")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	file := filepath.Join(dir, "pipeline.yaml")
	const text = `version: 1
name: idle
kubernetes: {namespace: idle}
prometheus: {url: "http://prometheus:9090"}
redis: {url: "redis://redis:6379/0"}
stages:
  - name: wait
    run: {run: sleep 3}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return 0, err
	}
	return peak(ctx, binary, "run", "--local", file)
}
