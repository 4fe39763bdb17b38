// Package pipeline is the core of Headgate: what a pipeline file says, and
// the life of a run.
//
// A run goes parse → check → preflight → stages → commit → finish → unlock,
// or, on failure, into rollback. Four ideas carry it:
//
//   - Write, then act. Before a thing is changed, what it was stands in the
//     journal ([Scope.Do]). An undo is data, never a closure, so that another
//     process can put everything back from the journal alone ([Undoer]).
//   - One stream of events. The journal is the durable part of it, reporters
//     are views of it, and [State] is its fold.
//   - Resume is running again on a journal that has entries: what is done is
//     skipped, what is in doubt is made again, so every change sets a value
//     and never adds to one.
//   - Nothing fails open. The zero [Outcome] is inconclusive; a journal that
//     cannot be written stops all going forward.
//
// The package knows no stage, no router and no cluster; it imports nothing
// of Headgate's but pipeline/source.
package pipeline
