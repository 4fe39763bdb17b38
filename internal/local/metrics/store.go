package metrics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// prefix begins the names of the folders that hold samples.
const prefix = "headgate-metrics-"

// store is the samples and the folder that they are in.
type store struct {
	db  *tsdb.DB
	dir string
}

// openStore makes a folder and a database in it. It keeps no write-ahead log:
// the targets are processes of this very run, so nobody asks for their past
// after it has died.
func openStore(o Options) (*store, error) {
	base := o.Dir
	if base == "" {
		base = os.TempDir()
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1
	opts.RetentionDuration = o.Retention.Milliseconds()
	opts.StripeSize = 1 << 9 // thousands of series, not millions
	opts.HeadChunksWriteBufferSize = 64 << 10
	opts.HeadChunksWriteQueueSize = 0
	opts.OutOfOrderTimeWindow = 0
	db, err := tsdb.Open(dir, o.Log, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return &store{db: db, dir: dir}, nil
}

func (s *store) close() error { return errors.Join(s.db.Close(), os.RemoveAll(s.dir)) }

// grace is how long a folder without an owner is left alone: its owner may
// not have come to lock it yet.
const grace = time.Minute

// sweep removes the folders in base whose owners have died: nobody holds
// their lock. One that cannot be removed is left for the next time.
func sweep(base string) {
	found, err := filepath.Glob(filepath.Join(base, prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		path := filepath.Join(dir, "lock")
		if _, err := os.Lstat(path); err != nil {
			if time.Since(info.ModTime()) > grace {
				_ = os.RemoveAll(dir)
			}
			continue
		}
		lock, _, err := fileutil.Flock(path)
		if err != nil {
			continue // in use, or somebody else's
		}
		_ = lock.Release()
		_ = os.RemoveAll(dir)
	}
}
