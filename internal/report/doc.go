// Package report shows a run to people and to machines.
//
// There is one stream of [pipeline.Event]s; every reporter is a
// [pipeline.Sink] and a view of that stream, live or later from a journal or
// from JSON lines:
//
//   - [Plain]: lines with the time since the beginning, and a heartbeat;
//   - [JSONLines]: one event on each line;
//   - [GitHub]: groups, annotations on the pipeline file, job summary, outputs.
//
// A reporter cannot stop a run. What goes wrong in one is kept and returned
// by its Close. Events reach reporters through [Redacted], and what they write
// passes the redacting writer once more.
package report
