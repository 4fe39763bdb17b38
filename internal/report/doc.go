// Package report shows a run to people and to machines.
//
// There is one stream of [pipeline.Event]s; every reporter is a
// [pipeline.Sink] and a view of that stream, live or later from a journal or
// from JSON lines:
//
//   - [Plain]: lines with the time since the beginning, and a heartbeat;
//   - [JSONLines]: one event on each line;
//   - [Summary]: one page of Markdown;
//   - [GitHub]: groups, annotations on the pipeline file, job summary, outputs;
//   - [GitLab]: sections of a job's log;
//   - [JUnit]: stages and checks as test cases, for GitLab, Jenkins and others;
//   - [Dotenv]: outputs as variables for later jobs.
//
// A reporter cannot stop a run. What goes wrong in one is kept and returned
// by its Close. Events reach reporters through [Redacted], and what they write
// passes the redacting writer once more.
package report
