// Package start keeps the garbage collector from running while the program's
// packages initialise, which would be a third of the time that a command like
// version takes. It must not import anything that takes long itself, for it
// is to be initialised early: packages are, in the order of their paths, once
// all that they import is.
package start

import "runtime/debug"

// patience is the percentage until [Done]: garbage of 16 MiB or more.
const patience = 400

// usual is the percentage of before, which the environment's GOGC may have set.
var usual = debug.SetGCPercent(patience)

// Done ends it. It is called first thing in main.
func Done() { debug.SetGCPercent(usual) }
