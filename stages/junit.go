package stages

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/joshdk/go-junit"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Bounds on JUnit files: how many there may be, and how large one may be.
const (
	maxReports    = 10_000
	maxReport     = 64 << 20
	maxTestName   = 200
	maxTestReason = 200
)

// TestSummary is what JUnit files say about a test run.
type TestSummary struct {
	Tests, Skipped int
	Failed         []FailedTest
}

// FailedTest is one test that failed.
type FailedTest struct {
	// Name is class and name, Message one line, both cut where they are long.
	Name, Message string
	// File is the JUnit file that says so.
	File string
}

// evidence lists all failed tests, one on a line.
func (s TestSummary) evidence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d tests failed:", len(s.Failed), s.Tests)
	for i, f := range s.Failed {
		if i == 100 {
			fmt.Fprintf(&b, "\n  … and %d more", len(s.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s", f.Name)
		if f.Message != "" {
			fmt.Fprintf(&b, ": %s", f.Message)
		}
	}
	return b.String()
}

// stamp tells whether a file was written again.
type stamp struct {
	time time.Time
	size int64
	info fs.FileInfo
}

// reports are the JUnit files of one attempt. What stands there before it is
// remembered, so that a file of an earlier run is not taken for one of this;
// clocks play no part in that.
type reports struct {
	dir      string
	patterns []source.String
	before   map[string]stamp
}

func newReports(dir string, patterns []source.String) (*reports, error) {
	r := &reports{dir: dir, patterns: patterns, before: map[string]stamp{}}
	for _, p := range patterns {
		names, err := r.find(p.Value)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil {
				r.before[name] = stamp{info.ModTime(), info.Size(), info}
			}
		}
	}
	return r, nil
}

// find lists the files that a pattern stands for.
func (r *reports) find(pattern string) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(r.dir, pattern)
	}
	names, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find JUnit files %s: %w", pattern, err)
	}
	if len(names) > maxReports {
		return nil, fmt.Errorf("find JUnit files %s: %d files, which is more than %d", pattern, len(names), maxReports)
	}
	slices.Sort(names)
	return names, nil
}

// stale reports whether a file stood there before, just as it is.
func (r *reports) stale(name string) bool {
	old, ok := r.before[name]
	if !ok {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && old.time.Equal(info.ModTime()) && old.size == info.Size() && os.SameFile(old.info, info)
}

// read reads the files that were written since. It returns what they say even
// when there is an error about another one of them.
func (r *reports) read() (TestSummary, error) {
	var sum TestSummary
	var bad []error
	seen := map[string]bool{}
	for _, p := range r.patterns {
		names, err := r.find(p.Value)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		fresh := slices.DeleteFunc(slices.Clone(names), r.stale)
		if len(fresh) == 0 {
			bad = append(bad, noReport(p.Value, len(names)))
		}
		for _, name := range fresh {
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := sum.add(name); err != nil {
				bad = append(bad, err)
			}
		}
	}
	return sum, errors.Join(bad...)
}

func noReport(pattern string, old int) error {
	if old == 0 {
		return fmt.Errorf("no JUnit file matches %s", pattern)
	}
	return fmt.Errorf("no JUnit file that matches %s was written by this run (%d older ones were left aside)", pattern, old)
}

// add reads one file.
func (s *TestSummary) add(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read JUnit file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return fmt.Errorf("read JUnit file: %w", err)
	}
	if len(data) > maxReport {
		return fmt.Errorf("read JUnit file %s: larger than %d MiB", name, maxReport>>20)
	}
	return s.addData(name, data)
}

func (s *TestSummary) addData(name string, data []byte) error {
	suites, err := junit.Ingest(data)
	if err != nil {
		return fmt.Errorf("read JUnit file %s: %w", name, err)
	}
	if len(suites) == 0 {
		return fmt.Errorf("read JUnit file %s: it has no test suite", name)
	}
	for _, suite := range suites {
		s.addSuite(name, suite)
	}
	return nil
}

func (s *TestSummary) addSuite(file string, suite junit.Suite) {
	for _, t := range suite.Tests {
		s.Tests++
		switch t.Status {
		case junit.StatusPassed:
		case junit.StatusSkipped:
			s.Skipped++
		default: // failed, error, and what a later version may know
			s.Failed = append(s.Failed, FailedTest{Name: testName(t), Message: testReason(t), File: file})
		}
	}
	for _, inner := range suite.Suites {
		s.addSuite(file, inner)
	}
}

func testName(t junit.Test) string {
	name := t.Name
	if t.Classname != "" && t.Classname != t.Name {
		name = t.Classname + "." + t.Name
	}
	return oneLine(name, maxTestName)
}

func testReason(t junit.Test) string {
	text := t.Message
	if e, ok := errors.AsType[junit.Error](t.Error); ok {
		if text == "" || text == "Failed" { // what go-junit-report writes for all
			text = e.Message
		}
		if text == "" || text == "Failed" {
			text = e.Body
		}
	}
	return oneLine(text, maxTestReason)
}

// oneLine returns the first line that says something, cut to limit bytes.
func oneLine(text string, limit int) string {
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		line = strings.Map(printable, strings.TrimSpace(line))
		if line == "" {
			continue
		}
		if len(line) > limit {
			cut := limit
			for !utf8.RuneStart(line[cut]) {
				cut--
			}
			line = line[:cut] + "…"
		}
		return line
	}
	return ""
}

// printable drops control characters, which could steer a terminal.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
		return -1
	}
	return r
}
