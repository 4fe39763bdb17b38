package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// fileJournal is an open journal of a [File] store.
type fileJournal struct {
	store  *File
	lock   *os.File
	lost   *lost
	holder fileHolder

	mu     sync.Mutex
	file   *os.File
	size   int64 // of what is whole
	events []pipeline.Event
	broken error // set when the file's end is not known any more
	closed bool
}

// load opens the journal file, cuts off a torn entry and writes the header
// where there is none.
func (j *fileJournal) load() error {
	file, err := os.OpenFile(j.store.path(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	j.file = file
	events, whole, err := load(file)
	if err != nil {
		return err
	}
	if err := file.Truncate(whole); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	j.events, j.size = events, whole
	if whole == 0 {
		if err := j.write(header()); err != nil {
			return err
		}
	}
	return syncDir(j.store.dir)
}

// Append writes one entry and syncs it to the disk.
func (j *fileJournal) Append(ctx context.Context, e pipeline.Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(ctx); err != nil {
		return err
	}
	return j.write(line)
}

// ready reports why the journal cannot be written now.
func (j *fileJournal) ready(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if j.closed {
		return errClosed
	}
	if !sameFile(j.lock, j.store.lockPath()) {
		j.lost.now("the lock file was removed or replaced")
	}
	if err := j.lost.err(); err != nil {
		return err
	}
	return j.broken
}

// write adds line to the file. When that fails, the file is cut back to what
// was whole; if even that fails, or a sync did, nobody knows what the disk
// holds, and nothing more is written.
func (j *fileJournal) write(line []byte) error {
	if j.size+int64(len(line)) > maxJournal {
		return fmt.Errorf("write journal: %s: %w", j.store.path(), ErrTooLarge)
	}
	if _, err := j.file.Write(line); err != nil {
		err = fmt.Errorf("write journal: %w", err)
		if cut := j.file.Truncate(j.size); cut != nil {
			j.broken = err
		}
		return err
	}
	if err := j.file.Sync(); err != nil {
		j.broken = fmt.Errorf("write journal: %w", err)
		return j.broken
	}
	j.size += int64(len(line))
	return nil
}

// Events returns what was there when the journal was opened or reset.
func (j *fileJournal) Events() []pipeline.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// Lost is closed when it is noticed that the lock file was taken away.
func (j *fileJournal) Lost() <-chan struct{} { return j.lost.ch }

// Reset moves the file into the history and begins a new one.
func (j *fileJournal) Reset(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(ctx); err != nil {
		return err
	}
	if j.size <= int64(len(header())) {
		j.events = nil
		return nil
	}
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("reset journal: %w", err)
	}
	if err := j.store.archive(); err != nil {
		j.broken = fmt.Errorf("reset journal: %w", err)
		return j.broken
	}
	if err := j.load(); err != nil {
		j.broken = err
		return err
	}
	return nil
}

// archive moves the journal into the history and removes the oldest ones.
func (f *File) archive() error {
	if err := os.MkdirAll(f.historyDir(), 0o700); err != nil {
		return err
	}
	names, err := f.historyNames()
	if err != nil {
		return err
	}
	next := 1
	if len(names) > 0 {
		last, _, _ := strings.Cut(names[len(names)-1], ".")
		n, err := strconv.Atoi(last)
		if err != nil {
			return fmt.Errorf("number history file %s: %w", names[len(names)-1], err)
		}
		next = n + 1
	}
	if err := os.Rename(f.path(), filepath.Join(f.historyDir(), fmt.Sprintf("%09d.jsonl", next))); err != nil {
		return err
	}
	for i := 0; i+keepFiles <= len(names); i++ {
		if err := os.Remove(filepath.Join(f.historyDir(), names[i])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(f.historyDir())
}

// Close gives the lock back.
func (j *fileJournal) Close(_ context.Context, linger time.Duration) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	var err error
	if linger > 0 && j.lost.err() == nil {
		j.holder.Until = time.Now().UTC().Add(min(linger, maxLinger))
		err = j.writeHolder()
	}
	return errors.Join(err, j.file.Close(), j.lock.Close())
}

// writeHolder says in the lock file who holds it.
func (j *fileJournal) writeHolder() error {
	data, err := json.Marshal(j.holder)
	if err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	if err := j.lock.Truncate(0); err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	if _, err := io.NewOffsetWriter(j.lock, 0).Write(append(data, '\n')); err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	return nil
}
