// Command load sends requests to a service on this machine at a steady rate
// and counts every one that fails. It ends with status 1 when any did.
//
//	go run ./test/load -url http://127.0.0.1:8000/profile/{n} -host shop.localhost -rate 200 -for 30s
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c load.Config
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&c.URL, "url", "", "`URL` on 127.0.0.1; {n} stands for the request's number modulo 1000")
	set.StringVar(&c.Host, "host", "", "Host `header`")
	set.Float64Var(&c.Rate, "rate", 100, "requests per second")
	set.DurationVar(&c.For, "for", 0, "how long to send")
	set.IntVar(&c.Count, "count", 0, "how many requests to send")
	set.BoolVar(&c.NewConnections, "new-connections", false, "open a connection for each request")
	set.IntVar(&c.Connections, "connections", 0, "connections at once (default 32)")
	set.DurationVar(&c.Timeout, "timeout", 0, "longest time for an answer (default 5s)")
	asJSON := set.Bool("json", false, "print the report as JSON")
	live := set.Bool("live", false, "print a line per second")
	if err := set.Parse(args); err != nil {
		return 2
	}
	l, err := load.Start(ctx, c)
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return 2
	}
	if *live {
		watch(ctx, l, stderr)
	}
	<-l.Done()
	r := l.Stop()
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			fmt.Fprintln(stderr, "load:", err)
			return 2
		}
	} else {
		r.Print(stdout)
	}
	if r.Failed > 0 {
		return 1
	}
	return 0
}

// watch prints each second as it passes, until the load ends.
func watch(ctx context.Context, l *load.Load, w io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for printed := 0; ; {
		select {
		case <-l.Done():
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// The last second may not be complete yet.
		seconds := l.Snapshot().Seconds
		for ; printed < len(seconds)-1; printed++ {
			s := seconds[printed]
			fmt.Fprintf(w, "%4ds  %5d requests  %4d failed  %v\n", s.At, s.Requests, s.Failed, s.Versions)
		}
	}
}
