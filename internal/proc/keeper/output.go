package keeper

import (
	"io"
	"os"
	"time"
)

// copier copies the output of a program to where it is wanted.
type copier struct {
	from *os.File
	done chan struct{}
}

func copyFrom(from *os.File, to io.Writer) *copier {
	c := &copier{from: from, done: make(chan struct{})}
	if to == nil {
		to = io.Discard
	}
	go func() { // ends with the output, which finish ends
		defer close(c.done)
		if _, err := io.Copy(to, from); err != nil {
			// A full disk must not make the program hang on a full pipe.
			_, _ = io.Copy(io.Discard, from)
		}
	}()
	return c
}

// finish waits a moment for what was written last.
func (c *copier) finish() {
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
	_ = c.from.Close() // ends a read that waits
	<-c.done
}
