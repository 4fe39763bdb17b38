// Package keeper runs programs of which nothing is left running: not when they
// end, not when they are ended, and not when the process that started them is
// gone, be it by kill -9.
//
// Each program has a keeper, which is this very executable started again.
// [Main] makes a process a keeper and must be called first thing in main (and
// in TestMain of tests that start programs). A keeper holds one end of a pipe
// whose other end is closed by the system when the one who started it dies.
//
// On Linux a keeper is the reaper of all that descends from its program: who
// changes his process group or session, or loses his parent, becomes its child
// again, and it ends when it has no children any more. Only programs that run
// as another user, who may not be killed, escape, and those whose keeper was
// killed with kill -9 itself; their first process ends then too, with its
// group as long as this process lives. On Windows, all are in one job object.
// On macOS and the other systems the program's process group is ended, so that
// what leaves that group stays.
package keeper
