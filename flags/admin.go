package flags

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNotFound is wrapped by errors about a flag that has no record.
var ErrNotFound = errors.New("there is no such flag")

// ConflictError reports a record that is not what a write was based on.
type ConflictError struct {
	Name string
	// Found is what is there; its Text is "" when there is nothing.
	Found Record
}

// Error names the flag.
func (e *ConflictError) Error() string {
	if e.Found.text == "" {
		return "flag " + e.Name + " was deleted by somebody else"
	}
	return "flag " + e.Name + " was changed by somebody else"
}

// Admin changes records. It is safe for use by many goroutines.
type Admin struct {
	rdb redis.UniversalClient
	own bool // rdb is closed with the admin
}

// OpenAdmin prepares an Admin on the Redis at url, without speaking to it
// yet; see [Connect]. Close it after use.
func OpenAdmin(url string) (*Admin, error) {
	rdb, err := Connect(url)
	if err != nil {
		return nil, err
	}
	return &Admin{rdb: rdb, own: true}, nil
}

// NewAdmin returns an Admin on a connection, which stays the caller's.
func NewAdmin(rdb redis.UniversalClient) *Admin { return &Admin{rdb: rdb} }

// Close ends the connection of an Admin that OpenAdmin returned.
func (a *Admin) Close() error {
	if !a.own {
		return nil
	}
	if err := a.rdb.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close redis connection: %w", err)
	}
	return nil
}

// Get reads a record; the error of a missing one wraps [ErrNotFound].
func (a *Admin) Get(ctx context.Context, name string) (Record, error) {
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	text, err := a.rdb.GetRange(ctx, KeyPrefix+name, 0, MaxRecord).Result()
	if err != nil {
		return Record{}, fmt.Errorf("read flag %s: %w", name, err)
	}
	if text == "" {
		return Record{}, fmt.Errorf("read flag %s: %w", name, ErrNotFound)
	}
	r, err := ParseRecord(name, []byte(text))
	if err != nil {
		return Record{}, fmt.Errorf("read flag %s: %w", name, err)
	}
	return r, nil
}

// Create writes the record of a new flag and returns it. It is a
// [*ConflictError] when there is one. With Version 0 the record has the
// fields that every reader knows and no more; with 1 it counts its writes.
func (a *Admin) Create(ctx context.Context, r Record, note Note) (Record, error) {
	r.text, r.fields = "", nil
	return a.write(ctx, r, "", note)
}

// Update changes a record and returns the new one. The base is what was read
// before; when the record is something else by now, the error is a
// [*ConflictError] and nothing was written. A record that counts its writes
// gets the next version.
func (a *Admin) Update(ctx context.Context, base Record, change func(*Record), note Note) (Record, error) {
	if base.text == "" {
		return Record{}, fmt.Errorf("write flag %s: %w", base.Name, ErrNotFound)
	}
	next := base.touched(time.Now())
	change(&next)
	next.Name = base.Name
	return a.write(ctx, next, base.text, note)
}

// Revert makes the record what was read before, on the condition of
// [Admin.Update]: byte for byte, or with a higher version where it has one.
func (a *Admin) Revert(ctx context.Context, base, was Record, note Note) (Record, error) {
	if was.text == "" || was.Name != base.Name {
		return Record{}, fmt.Errorf("revert flag %s: there is nothing to revert to", base.Name)
	}
	if was.Version > 0 {
		was.Version = max(was.Version, base.Version) + 1
		return a.write(ctx, was, base.text, note)
	}
	return was, a.swap(ctx, base.Name, swap{base.text, was.text, "0"}, note)
}

// Delete removes a record on the condition of [Admin.Update]. Its audit
// stream stays.
func (a *Admin) Delete(ctx context.Context, base Record, note Note) error {
	return a.swap(ctx, base.Name, swap{base.text, "", "0"}, note)
}

func (a *Admin) write(ctx context.Context, r Record, expect string, note Note) (Record, error) {
	text, err := r.MarshalJSON()
	if err != nil {
		return Record{}, fmt.Errorf("write flag %s: %w", r.Name, err)
	}
	// What no client could read shall not be written.
	next, err := ParseRecord(r.Name, text)
	if err != nil {
		return Record{}, fmt.Errorf("write flag %s: %w", r.Name, err)
	}
	if err := a.swap(ctx, r.Name, swap{expect, next.text, strconv.FormatInt(r.Version, 10)}, note); err != nil {
		return Record{}, err
	}
	return next, nil
}

// swap is a text of a record to take the place of the expected one, and the
// version that it makes.
type swap struct{ expect, text, version string }

// swap replaces the text of a record when it is what is expected; "" stands
// for no record on either side.
func (a *Admin) swap(ctx context.Context, name string, w swap, note Note) error {
	expect, text, version := w.expect, w.text, w.version
	if err := CheckName(name); err != nil {
		return err
	}
	key := KeyPrefix + name
	found, err := swapScript.Run(ctx, a.rdb, []string{key, AuditKey(name)},
		expect, text, Channel, name+" "+version, maxAudit, version,
		note.Actor, note.Action, note.Reason, note.Run, note.URL, note.Commit).Text()
	switch {
	case err != nil:
		return fmt.Errorf("write flag %s: %w", name, err)
	case found == expect || found == text:
		// Equal to text: the reply to an attempt before this one was lost.
		return nil
	case found == "":
		return &ConflictError{Name: name, Found: Record{Name: name}}
	}
	r, err := ParseRecord(name, []byte(found))
	if err != nil {
		// What is there cannot be read, and still is somebody else's.
		r = Record{Name: name, text: found}
	}
	return &ConflictError{Name: name, Found: r}
}

// swapScript compares, sets, records and tells in one step, so that no writer
// comes between and no change goes unrecorded. It returns what was there.
// Record and audit stream are in one slot of a cluster, see [AuditKey].
var swapScript = redis.NewScript(`
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then return found end
if found == ARGV[2] then return found end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif found == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'before', found, 'after', ARGV[2], 'version', ARGV[6],
  'actor', ARGV[7], 'action', ARGV[8], 'reason', ARGV[9], 'run', ARGV[10], 'url', ARGV[11], 'commit', ARGV[12])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return found
`)
