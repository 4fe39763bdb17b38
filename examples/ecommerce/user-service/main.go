// Command user-service is what the pipelines of this folder deliver; all of it
// is in package profiles.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/headgate-dev/headgate/examples/ecommerce/profiles"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := profiles.Run(ctx, os.Getenv, log); err != nil {
		log.Error("user-service ends", slog.Any("error", err))
		os.Exit(1)
	}
}
