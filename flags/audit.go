package flags

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxAudit is about how many entries an audit stream keeps.
const maxAudit = 1000

// Note says who changes a flag and why; it goes into the audit stream.
// Secrets do not belong in it.
type Note struct {
	// Actor is a person or a program, Action one word such as "ramp".
	Actor, Action string
	// Reason is one sentence.
	Reason string
	// Run, URL and Commit are those of a pipeline's run.
	Run, URL, Commit string
}

// Entry is one change in an audit stream.
type Entry struct {
	// Time is that of the server.
	Time time.Time
	// Before and After are the texts of the record; "" stands for none.
	Before, After string
	Version       int64
	Note          Note
}

// AuditKey returns the key of a flag's audit stream. The braces put it into
// the slot of the record, so that one script may write both in a cluster.
func AuditKey(name string) string { return "feature_flag_audit:{" + KeyPrefix + name + "}" }

// History returns the newest changes of a flag, the newest first, at most n.
func (a *Admin) History(ctx context.Context, name string, n int) ([]Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	messages, err := a.rdb.XRevRangeN(ctx, AuditKey(name), "+", "-", int64(min(max(n, 1), maxAudit))).Result()
	if err != nil {
		return nil, fmt.Errorf("read history of flag %s: %w", name, err)
	}
	entries := make([]Entry, len(messages))
	for i, m := range messages {
		text := func(field string) string {
			s, _ := m.Values[field].(string) // missing in entries of other writers
			return s
		}
		ms, _, _ := strings.Cut(m.ID, "-")
		at, _ := strconv.ParseInt(ms, 10, 64)
		version, _ := strconv.ParseInt(text("version"), 10, 64)
		entries[i] = Entry{
			Time: time.UnixMilli(at).UTC(), Before: text("before"), After: text("after"), Version: version,
			Note: Note{
				Actor: text("actor"), Action: text("action"), Reason: text("reason"),
				Run: text("run"), URL: text("url"), Commit: text("commit"),
			},
		}
	}
	return entries, nil
}
