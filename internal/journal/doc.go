// Package journal keeps the journals of runs: in memory, in a locked file on
// a disk, and in a cluster beside the workload. All three implement
// [pipeline.Store] and pass the suite of package journaltest.
//
// What they promise alike:
//
//   - An event is durable when Append returns nil. After an error it may be
//     there or not, but never in part, and never in another order.
//   - One holder at a time. A holder that lost its lock finds its writes
//     refused, even when it has not noticed the loss yet.
//   - A journal that cannot be read in full is an error, never a shorter
//     journal. The one exception is an entry torn by the death of its writer,
//     at the very end: its Append never returned, so nothing was done on it.
package journal
