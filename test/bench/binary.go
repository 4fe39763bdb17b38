package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The goals that hold for the binary by itself.
const (
	validateGoal = 100 * time.Millisecond
	startGoal    = 20 * time.Millisecond
	stages       = 500
)

// binaryFigures measures what needs no cluster.
func binaryFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	path := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(path, []byte(largeFile(stages)), 0o644); err != nil {
		return err
	}
	start, err := times(ctx, s.process, s.binary, "version")
	if err != nil {
		return err
	}
	validate, err := times(ctx, s.process, s.binary, "validate", path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "headgate version: %s; %s\n", start, against(start.wall, startGoal))
	fmt.Fprintf(out, "headgate validate, %d stages: %s; %s\n", stages, validate, against(validate.wall, validateGoal))
	nothing, err := times(ctx, s.process, "true")
	if err != nil {
		return nil //nolint:nilerr // a system without the program has nothing to compare with
	}
	fmt.Fprintf(out, "a program that does nothing, on this machine at this load: %s\n", nothing)
	return nil
}

// starts is what a program took from start to end, as its user waits, and of
// the processor; the two part where others want the processor, too.
type starts struct{ wall, processor sample }

func (s starts) String() string {
	return fmt.Sprintf("%s; processor median %s", s.wall, short(s.processor.median()))
}

// times starts a program, once more than counts, so that what it reads is in
// memory.
func times(ctx context.Context, n int, args ...string) (starts, error) {
	var s starts
	for i := range n + 1 {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return starts{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
		if took := time.Since(began); i > 0 {
			s.wall = append(s.wall, took)
			s.processor = append(s.processor, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	return s, nil
}

// largeFile is a pipeline of n stages of all kinds, with expressions to check.
func largeFile(n int) string {
	var b strings.Builder
	b.WriteString(`version: 1
name: large
vars: {image: "localhost:5000/large:1"}
kubernetes: {namespace: large}
prometheus: {url: "http://prometheus:9090"}
redis: {url: "redis://redis:6379/0"}
gates:
  slo:
    checks:
      - errorRate: {max: 5%}
      - latency: {quantile: 0.95, max: 1s}
      - query: 'sum(rate(failures_total{${{ selector }}}[${{ window }}]))'
        max: 0.2
stages:
`)
	for i := range n {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "  - name: test %d\n    if: run.branch != \"wip\"\n    env: {IMAGE: \"${{ vars.image }}\", N: \"%d\"}\n    test: {run: 'go test ./...', timeout: 10m}\n", i, i)
		case 1:
			fmt.Fprintf(&b, "  - name: command %d\n    run: {run: 'echo \"$COMMIT\"'}\n    env: {COMMIT: \"${{ run.commit }}\"}\n", i)
		case 2:
			fmt.Fprintf(&b, `  - name: rollout %d
    canary:
      deployment: service-%d
      image: "${{ vars.image }}"
      traffic: {httpRoute: service-%d, drain: 5s}
      steps: [{setWeight: 20}, {pause: 10m}, {setWeight: 40}, {pause: 10m}, {gate: slo, for: 5m}, {setWeight: 80}]
      gate: slo
`, i, i, i)
		case 3:
			fmt.Fprintf(&b, "  - name: settle %d\n    gate: {use: slo, for: 5m, every: 30s}\n", i)
		case 4:
			fmt.Fprintf(&b, "  - name: flag %d\n    flag: {name: flag_%d, steps: [{setPercentage: 5}, {pause: 10m}, {setPercentage: 100}], gate: slo}\n", i, i)
		}
	}
	return b.String()
}
