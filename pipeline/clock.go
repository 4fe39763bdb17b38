package pipeline

import (
	"context"
	"time"
)

// Clock is the run's time. Stages and gates know no other, so that a whole
// pipeline can be run in virtual time.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whose cause it then returns.
	Sleep(ctx context.Context, d time.Duration) error
	// While runs watch beside do. When do returns, watch's context ends; when
	// watch returns an error, do's context ends with it as the cause. While
	// returns when both have ended: watch's error if it had one before do
	// ended, else do's.
	While(ctx context.Context, watch, do func(ctx context.Context) error) error
}
