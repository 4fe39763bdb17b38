// Command cmd runs the labelled benchmark of gates and prints its table as
// Markdown. It exits with 1 when a goal is missed.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/headgate-dev/headgate/test/gatebench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatebench:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, progress io.Writer) (int, error) {
	fs := flag.NewFlagSet("gatebench", flag.ContinueOnError)
	runs := fs.Int("runs", 2000, "how many rollouts of each scenario")
	only := fs.String("only", "", "run these lines alone, such as G1,D3")
	write := fs.String("write", "", "write the table to this file too")
	if err := fs.Parse(args); err != nil {
		return 2, err
	}
	var sections []gatebench.Section
	var table bytes.Buffer
	for _, l := range gatebench.Lines() {
		if *only != "" && !strings.Contains(","+*only+",", ","+l.ID+",") {
			continue
		}
		began := time.Now()
		s, err := l.Run(ctx, *runs)
		if err != nil {
			return 1, err
		}
		fmt.Fprintf(progress, "%s in %s\n", l.ID, time.Since(began).Round(100*time.Millisecond))
		sections = append(sections, s)
		if err := s.Write(&table); err != nil {
			return 1, err
		}
	}
	met, all := gatebench.Met(sections)
	last := fmt.Sprintf("%d of %d goals met\n", met, all)
	if *write != "" {
		page := gatebench.Preface(*runs) + table.String() + last
		if err := os.WriteFile(filepath.Clean(*write), []byte(page), 0o644); err != nil {
			return 1, fmt.Errorf("write table: %w", err)
		}
	}
	if _, err := io.WriteString(out, table.String()+last); err != nil {
		return 1, err
	}
	if met < all || all == 0 {
		return 1, nil
	}
	return 0, nil
}
