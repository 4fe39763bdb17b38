// Command headgate makes releases safe from inside CI.
package main

import (
	"os"

	"github.com/headgate-dev/headgate/internal/cli"
)

// version is set by the linker in a release.
var version string

func main() {
	cli.Keep()
	os.Exit(cli.Main(os.Args[1:], cli.Process(version)))
}
