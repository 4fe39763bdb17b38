// Command headgate makes releases safe from inside CI.
package main

import (
	"os"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/internal/start"
)

// What this binary was made from, set by the linker.
var version, commit, date string

func main() {
	start.Done()
	cli.Keep()
	os.Exit(cli.Main(os.Args[1:], cli.Process(cli.Build{Version: version, Commit: commit, Date: date})))
}
