// Bench measures how long Headgate takes: a whole canary on a real cluster
// beside a plain rolling update of the same Deployment, the check of a large
// pipeline file, and the binary's start and size.
//
// Figures are ratios within one run, or bounds that hold on any machine of
// these years; seconds of different machines or days say little.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the command line's.
type settings struct {
	rounds  int
	process int
	root    string
	binary  string
	quiet   time.Duration
	only    string
}

// wants reports whether a part shall be measured.
func (s settings) wants(part string) bool { return s.only == "" || s.only == part }

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&s.rounds, "rounds", 7, "how often each rollout is measured")
	fs.IntVar(&s.process, "process", 20, "how often each start of the binary is measured")
	fs.StringVar(&s.root, "root", "../..", "the repository")
	fs.StringVar(&s.binary, "headgate", "", "measure this binary in place of one built now")
	fs.DurationVar(&s.quiet, "quiet", 0, "wait at most this long, before each rollout, for the machine to have little to do")
	fs.StringVar(&s.only, "only", "", "measure this part alone: binary, weight, first, rollouts, many or peers")
	if err := fs.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "headgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if s.binary == "" {
		s.binary = filepath.Join(dir, "headgate")
		if err := build(ctx, s.root, s.binary, "./cmd/headgate"); err != nil {
			return err
		}
	}
	if s.binary, err = filepath.Abs(s.binary); err != nil { // it is also run in other folders
		return err
	}
	fmt.Fprintf(out, "machine: %d cores, load average %s\n\n", runtime.NumCPU(), loadAverage())
	for _, part := range []struct {
		name    string
		cluster bool
		measure func(ctx context.Context, s settings, dir string, out io.Writer) error
	}{
		{"binary", false, binaryFigures},
		{"weight", false, weightFigures},
		{"first", false, firstFigures},
		{"rollouts", true, rolloutFigures},
		{"many", true, manyFigures},
		{"peers", true, peerFigures},
	} {
		if !s.wants(part.name) {
			continue
		}
		if part.cluster && os.Getenv("KUBECONFIG") == "" {
			fmt.Fprintf(out, "\n%s: skipped, KUBECONFIG names no cluster\n", part.name)
			continue
		}
		if err := part.measure(ctx, s, dir, out); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nload average at the end: %s\n", loadAverage())
	return nil
}

// build makes a static and stripped binary.
func build(ctx context.Context, root, to, pkg string) error {
	return buildWith(ctx, buildOptions{root: root, to: to, pkg: pkg, linker: "-s -w"})
}

// buildOptions say what is built and what the linker is told.
type buildOptions struct{ root, to, pkg, linker string }

func buildWith(ctx context.Context, o buildOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags="+o.linker, "-o", o.to, o.pkg)
	cmd.Dir = o.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", o.pkg, err, out)
	}
	return nil
}

// loadAverage is how many processes want to run, "unknown" where the system
// does not tell.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(b)); err == nil && len(fields) > 3 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}
