package cli

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// Process returns the streams of this process. From then on SIGINT, SIGTERM
// and SIGHUP do not end it by themselves, and neither does a reader of its
// output that goes away: a run that is piped into something must not die in
// the middle because of that.
func Process(build Build) Streams {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // by nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Not ignored but dropped, so that the stages' programs have it as ever.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal:  term.IsTerminal(int(os.Stdout.Fd())),
		LookupEnv: os.LookupEnv, Environ: os.Environ,
		Signals: signals, Exit: os.Exit, Build: build,
	}
}
