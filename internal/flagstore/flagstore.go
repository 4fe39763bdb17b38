// Package flagstore changes feature flags for the flag stage, over the
// records that package flags keeps in Redis.
package flagstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/flags"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
	"github.com/redis/go-redis/v9/logging"
)

// deadline bounds each call, attempts to connect included.
const deadline = 10 * time.Second

// lookBack is how far a run looks for its own last write in the audit stream.
const lookBack = 50

// The words of the audit stream.
const (
	actor  = "headgate"
	ramp   = "ramp"
	revert = "revert"
)

// Store keeps flags in Redis. The version it gives a flag is a fingerprint of
// the whole record, so that a change is noticed also when its author counted
// no version.
type Store struct {
	admin *flags.Admin
}

var _ stages.Flags = (*Store)(nil)

// Open prepares the connection that a URL such as redis://host:6379/0
// describes; nothing is sent yet. Errors hold no part of the URL.
func Open(url string) (*Store, error) {
	// go-redis logs to stderr what its caller gets as an error.
	logging.Disable()
	admin, err := flags.OpenAdmin(url)
	if err != nil {
		return nil, err
	}
	return &Store{admin: admin}, nil
}

// Close ends the connection.
func (s *Store) Close() error { return s.admin.Close() }

// Get reads a flag. Its Raw is the record's text as a JSON string, for only
// so does it pass through a journal unchanged.
func (s *Store) Get(ctx context.Context, name string) (stages.Flag, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	r, err := s.admin.Get(ctx, name)
	if errors.Is(err, flags.ErrNotFound) {
		return stages.Flag{Name: name}, nil
	}
	if err != nil {
		return stages.Flag{}, &askError{err}
	}
	return flagOf(r)
}

// askError is a Redis that does not answer, or not well.
type askError struct{ error }

// Unwrap returns the cause.
func (e *askError) Unwrap() error { return e.error }

// Hint says what to look at.
func (e *askError) Hint() string {
	var away net.Error
	text := e.Error()
	switch {
	case errors.As(e.error, &away), errors.Is(e.error, context.DeadlineExceeded):
		return "Redis does not answer: check redis.url in the file, and that this machine can reach it"
	case strings.Contains(text, "NOAUTH"), strings.Contains(text, "WRONGPASS"), strings.Contains(text, "NOPERM"):
		return "check user and password in redis.url, and what that user may do"
	}
	return ""
}

// Set writes on the expected version; see [stages.Flags]. It creates no
// flags: a name mistyped in a file must not become a record.
func (s *Store) Set(ctx context.Context, w stages.FlagWrite) (stages.Flag, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	r, err := s.admin.Get(ctx, w.Name)
	if errors.Is(err, flags.ErrNotFound) {
		return stages.Flag{}, &missingError{name: w.Name}
	}
	if err != nil {
		return stages.Flag{}, err
	}
	entries, err := s.admin.History(ctx, w.Name, lookBack)
	if err != nil {
		return stages.Flag{}, err
	}
	mine := slices.IndexFunc(entries, func(e flags.Entry) bool { return e.Note.Run == w.Run.ID })
	last := mine >= 0 && entries[mine].After == r.Text()
	there := r.Percentage == w.Percentage && (r.Enabled || !w.Enabled)
	switch {
	case mine >= 0 && !last:
		// Whatever the caller expects, perhaps in another process than before:
		// what this run left was changed, such as by a hand that switched it off.
		return stages.Flag{}, s.drift(ctx, r, describeText(w.Name, entries[mine].After))
	case there && last:
		return flagOf(r)
	case r.Fingerprint() != w.Expect:
		return stages.Flag{}, s.drift(ctx, r, "it otherwise")
	case there:
		return flagOf(r)
	}
	next, err := s.admin.Update(ctx, r, func(r *flags.Record) {
		r.Percentage = w.Percentage
		r.Enabled = r.Enabled || w.Enabled
	}, note(ramp, w.Reason, w.Run))
	if err != nil {
		return stages.Flag{}, s.conflict(ctx, err, "it "+describe(r))
	}
	return flagOf(next)
}

// Restore puts the record back to what was holds, when the last change to it
// was a ramp's. When somebody else has changed it since, such as to switch
// the feature off, that stays, and the error is a [*stages.DriftError].
func (s *Store) Restore(ctx context.Context, was stages.Flag, reason string) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	r, err := s.admin.Get(ctx, was.Name)
	missing := errors.Is(err, flags.ErrNotFound)
	if err != nil && !missing {
		return err
	}
	if !was.Exists {
		if missing {
			return nil
		}
		return s.drift(ctx, r, "no flag")
	}
	old, err := recordOf(was)
	switch {
	case err != nil:
		return err
	case missing:
		return &stages.DriftError{Thing: "flag " + was.Name, Found: "deleted", Want: "it ramped from " + share(old)}
	case r.SameMeaning(old):
		return nil
	}
	last, err := s.lastWrite(ctx, r)
	if err != nil {
		return err
	}
	if last.Action != ramp {
		return s.drift(ctx, r, "it ramped from "+share(old))
	}
	if _, err := s.admin.Revert(ctx, r, old, note(revert, reason, pipeline.Info{ID: last.Run, URL: last.URL, Commit: last.Commit})); err != nil {
		return s.conflict(ctx, err, "it "+describe(r))
	}
	return nil
}

// lastWrite returns the note of the write that made the record what it is;
// the zero note when it was made by a writer who left none.
func (s *Store) lastWrite(ctx context.Context, r flags.Record) (flags.Note, error) {
	entries, err := s.admin.History(ctx, r.Name, 1)
	if err != nil {
		return flags.Note{}, err
	}
	if len(entries) == 0 || entries[0].After != r.Text() {
		return flags.Note{}, nil
	}
	return entries[0].Note, nil
}

func (s *Store) conflict(ctx context.Context, err error, want string) error {
	if c, ok := errors.AsType[*flags.ConflictError](err); ok {
		return s.drift(ctx, c.Found, want)
	}
	return err
}

func (s *Store) drift(ctx context.Context, found flags.Record, want string) error {
	d := &stages.DriftError{Thing: "flag " + found.Name, Found: describe(found), Want: want}
	if last, err := s.lastWrite(ctx, found); err == nil {
		d.By = last.Actor
		if last.Run != "" {
			d.By += " in run " + last.Run
		}
	}
	return d
}

func describe(r flags.Record) string {
	if r.Text() == "" {
		return "deleted"
	}
	if !r.Enabled {
		return "disabled (at " + share(r) + ")"
	}
	return "at " + share(r)
}

func describeText(name, text string) string {
	r, err := flags.ParseRecord(name, []byte(text))
	if err != nil {
		return "it otherwise"
	}
	return "it " + describe(r)
}

func share(r flags.Record) string { return strconv.FormatFloat(r.Percentage, 'f', -1, 64) + "%" }

func flagOf(r flags.Record) (stages.Flag, error) {
	raw, err := json.Marshal(r.Text())
	if err != nil {
		return stages.Flag{}, fmt.Errorf("read flag %s: %w", r.Name, err)
	}
	return stages.Flag{
		Name: r.Name, Exists: true, Enabled: r.Enabled, Percentage: r.Percentage, Version: r.Fingerprint(), Raw: raw,
	}, nil
}

func recordOf(f stages.Flag) (flags.Record, error) {
	var text string
	if err := json.Unmarshal(f.Raw, &text); err != nil {
		return flags.Record{}, fmt.Errorf("read what flag %s was: %w", f.Name, err)
	}
	r, err := flags.ParseRecord(f.Name, []byte(text))
	if err != nil {
		return flags.Record{}, fmt.Errorf("read what flag %s was: %w", f.Name, err)
	}
	return r, nil
}

func note(action, reason string, run pipeline.Info) flags.Note {
	return flags.Note{Actor: actor, Action: action, Reason: reason, Run: run.ID, URL: run.URL, Commit: run.Commit}
}

func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, deadline, errors.New("redis did not answer within "+deadline.String()))
}

// missingError reports a flag that cannot be ramped because it is not there.
type missingError struct{ name string }

func (e *missingError) Error() string { return "write flag " + e.name + ": there is no such flag" }

// Unwrap makes errors.Is(err, flags.ErrNotFound) true.
func (e *missingError) Unwrap() error { return flags.ErrNotFound }

// Hint says what to do.
func (e *missingError) Hint() string {
	return "create its record under the key " + flags.KeyPrefix + e.name + " first, or mend the name in the file"
}
