// Package prom asks Prometheus, or anything that speaks its query API, for
// the gates.
//
// Only instant queries are used. Every try has a deadline, every reply a
// bound, and what may pass is tried again; credentials go to the host of the
// URL alone and stand in no error.
package prom
