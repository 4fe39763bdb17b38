// Package gatebench holds the gates to a labelled benchmark: releases whose
// truth is known are rolled out in a simulated world, and it is counted how
// often a gate rolls back a good one, how soon it finds a bad one, and what it
// lets pass unseen.
//
// A [Scenario] says what the two tracks of a rollout do. A [Trace] is one
// rollout of it, drawn from a seed. What our gates see of it is what
// Prometheus would have scraped: cumulative counters of pods, with births,
// resets, gaps and outages ([Prometheus]). The rules of other tools are
// re-implemented beside ours and are given the exact counts of the same
// traces, without any delay, which flatters them.
//
// Goals are written down in goals.go before anything is run. Seeds are fixed:
// the same code gives the same table.
package gatebench
