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
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// keepFiles is how many ended journals a file store keeps.
const keepFiles = 20

// maxLinger bounds how long a closed journal can stay reserved for its own
// run, so that a wrong clock cannot lock a pipeline out.
const maxLinger = 10 * time.Minute

// File is a [pipeline.Store] on a local disk: JSON lines, synced after every
// entry, one file for a pipeline, guarded by a lock that the system gives up
// when its process dies. On a network file system it is as good as that
// system's locks.
type File struct {
	dir      string
	pipeline string
}

var _ pipeline.Store = (*File)(nil)

// NewFile returns the store for one pipeline's journal in the folder dir,
// which need not exist yet. The name must be usable as a file name.
func NewFile(dir, name string) (*File, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, fmt.Errorf("open journal: pipeline name %q is not usable as a file name", name)
	}
	return &File{dir: dir, pipeline: name}, nil
}

func (f *File) path() string       { return filepath.Join(f.dir, f.pipeline+".jsonl") }
func (f *File) lockPath() string   { return filepath.Join(f.dir, f.pipeline+".lock") }
func (f *File) historyDir() string { return filepath.Join(f.dir, f.pipeline+".history") }

// Peek reads the newest journal without taking the lock.
func (f *File) Peek(ctx context.Context) ([]pipeline.Event, error) {
	return readFile(ctx, f.path())
}

// History returns the journals that ended, the newest first.
func (f *File) History(ctx context.Context) ([][]pipeline.Event, error) {
	names, err := f.historyNames()
	if err != nil {
		return nil, err
	}
	var all [][]pipeline.Event
	for _, name := range slices.Backward(names) {
		events, err := readFile(ctx, filepath.Join(f.historyDir(), name))
		if err != nil {
			return nil, err
		}
		all = append(all, events)
	}
	return all, nil
}

// historyNames lists the files of ended journals, the oldest first.
func (f *File) historyNames() ([]string, error) {
	entries, err := os.ReadDir(f.historyDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jsonl") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// readFile reads the journal at path; nil if there is none.
func readFile(ctx context.Context, path string) ([]pipeline.Event, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	events, _, err := load(file)
	return events, err
}

// load reads an open journal from its start and returns its events and how
// many bytes of it are whole.
func load(file *os.File) ([]pipeline.Event, int64, error) {
	data, err := io.ReadAll(io.LimitReader(file, maxJournal+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	if len(data) > maxJournal {
		return nil, 0, fmt.Errorf("read journal: %s: %w", file.Name(), ErrTooLarge)
	}
	events, whole, err := decode(file.Name(), data)
	return events, int64(whole), err
}

// fileHolder is what the lock file says about who holds the lock, or held it
// last.
type fileHolder struct {
	Run   string    `json:"run"`
	URL   string    `json:"url,omitempty"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	// Until reserves a free lock for the same run.
	Until time.Time `json:"until,omitzero"`
}

// Open takes the lock and reads the journal. It does not wait.
func (f *File) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	lock, err := f.takeLock(info)
	if err != nil {
		return nil, err
	}
	j := &fileJournal{store: f, lock: lock, lost: newLost()}
	j.holder = fileHolder{Run: info.ID, URL: info.URL, PID: os.Getpid(), Since: time.Now().UTC()}
	if err := errors.Join(j.writeHolder(), j.load()); err != nil {
		_ = lock.Close()
		if j.file != nil {
			_ = j.file.Close()
		}
		return nil, err
	}
	return j, nil
}

// takeLock opens and locks the lock file. A file that was removed between the
// two would lock nothing, so its name must still lead to it.
func (f *File) takeLock(info pipeline.Info) (*os.File, error) {
	lock, err := os.OpenFile(f.lockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock pipeline %s: %w", f.pipeline, err)
	}
	held := readHolder(lock)
	locked := &LockedError{Pipeline: f.pipeline, Run: held.Run, URL: held.URL, Since: held.Since}
	ok, err := tryLock(lock)
	switch {
	case err != nil:
		err = fmt.Errorf("lock pipeline %s: %w", f.pipeline, err)
	case !ok || !sameFile(lock, f.lockPath()):
		err = locked
	case held.Run != info.ID && reserved(held.Until, time.Now()):
		err = locked
	default:
		return lock, nil
	}
	_ = lock.Close()
	return nil, err
}

func reserved(until, now time.Time) bool {
	return now.Before(until) && until.Before(now.Add(maxLinger+time.Minute))
}

// readHolder reads the lock file. What cannot be read is nobody: the lock is
// the system's, the text is for people.
func readHolder(lock *os.File) fileHolder {
	var h fileHolder
	data, err := io.ReadAll(io.NewSectionReader(lock, 0, 64<<10))
	if err != nil || json.Unmarshal(data, &h) != nil {
		return fileHolder{}
	}
	return h
}

// sameFile reports whether path still leads to file.
func sameFile(file *os.File, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	mine, err := file.Stat()
	return err == nil && os.SameFile(mine, there)
}
