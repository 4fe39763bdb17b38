// Cluster starts and stops a Kubernetes of one node for the project's tests,
// on a Linux machine, as root and without Docker.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `Usage: go run ./test/cluster COMMAND

Starts and stops a real Kubernetes of one node for the tests.

Commands:
  up                 start it, or say that it is up already
  down               stop it and leave nothing behind
  env                print export lines for a shell: eval "$(go run ./test/cluster env)"
  status             say of each part whether it is up
  part start NAME    start one part again that was stopped
  part stop NAME     stop one part, such as prometheus, and leave the rest alone
  build [NAME...]    build what up needs, or the parts named, argorollouts among them

Environment:
  HEADGATE_TEST_CLUSTER_STATE   folder for everything that down removes
                                (default: the user's cache folder)
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		fmt.Fprintln(os.Stderr, hinted.Hint())
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	command := strings.Join(args, " ")
	if command == "" || command == "help" || command == "-h" || command == "--help" {
		fmt.Print(usage)
		return nil
	}
	c, err := newCluster(os.Stderr)
	if err != nil {
		return err
	}
	switch {
	case command == "up":
		return c.up(ctx)
	case command == "down":
		return c.down(ctx)
	case command == "env":
		return c.env(os.Stdout)
	case command == "status":
		return c.status(ctx, os.Stdout)
	case args[0] == "build":
		return c.build(ctx, args[1:])
	case len(args) == 3 && args[0] == "part" && args[1] == "start":
		return c.startPart(ctx, args[2])
	case len(args) == 3 && args[0] == "part" && args[1] == "stop":
		return c.stopPart(ctx, args[2])
	// The order that comes to mind first when stopping Prometheus in a test.
	case len(args) == 2 && args[1] == "start":
		return c.startPart(ctx, args[0])
	case len(args) == 2 && args[1] == "stop":
		return c.stopPart(ctx, args[0])
	}
	return fmt.Errorf("unknown command %q; see go run ./test/cluster help", command)
}
