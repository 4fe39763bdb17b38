package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/headgate-dev/headgate/internal/proc/lines"
)

// Bounds of a container's log.
const (
	maxLog  = 4 << 20 // of one file, in bytes
	maxKept = 200     // lines in memory
	maxLine = 4 << 10 // of one line in memory, in bytes
)

// log is what a container writes: a file, bounded in size, and the last lines.
type log struct {
	path string
	text lines.Writer

	mu      sync.Mutex
	file    *os.File // nil when closed or when there is no room on the disk
	size    int64
	kept    []string
	written int // lines since the program started
}

func openLog(dir, container string) (*log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for logs: %w", err)
	}
	l := &log{path: filepath.Join(dir, container+".log")}
	l.text.Emit = l.keep
	var err error
	if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if info, err := l.file.Stat(); err == nil {
		l.size = info.Size()
	}
	return l, nil
}

// Write takes output. It never fails: a full disk must not end a program.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.text.Write(p)
	if l.size+int64(len(p)) > maxLog {
		l.turn()
	}
	if l.file != nil {
		n, _ := l.file.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// turn begins a new file and keeps the one before.
func (l *log) turn() {
	if l.file == nil {
		return
	}
	_ = l.file.Close()
	_ = os.Rename(l.path, l.path+".1")
	l.file, _ = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	l.size = 0
}

// keep keeps a line; l.mu is held.
func (l *log) keep(line string) {
	if len(line) > maxLine {
		line = string([]rune(line[:maxLine])) + "…"
	}
	if len(l.kept) == maxKept {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, line)
	l.written++
}

// begin tells that a program is about to start.
func (l *log) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Flush()
	l.written = 0
}

// last returns at most so many lines.
func (l *log) last(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = max(min(n, len(l.kept)), 0)
	return append([]string(nil), l.kept[len(l.kept)-n:]...)
}

// since returns at most so many lines of the program that has just ended.
func (l *log) since(n int) []string {
	l.mu.Lock()
	l.text.Flush()
	n = min(n, l.written)
	l.mu.Unlock()
	return l.last(n)
}

// close ends writing to the file.
func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Flush()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// note adds a line of ours.
func (l *log) note(text string) {
	_, _ = l.Write([]byte("[headgate] " + text + "\n"))
}
