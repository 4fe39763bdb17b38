package cli

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// Process returns the streams of this process. From then on SIGINT and
// SIGTERM do not end it by themselves.
func Process(version string) Streams {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal:  term.IsTerminal(int(os.Stdout.Fd())),
		LookupEnv: os.LookupEnv, Environ: os.Environ,
		Signals: signals, Exit: os.Exit, Version: version,
	}
}
