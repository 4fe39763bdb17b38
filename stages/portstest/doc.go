// Package portstest holds conformance suites: what every implementation of a
// port of package stages must do, whatever it is built on. An implementation
// runs them with a fixture that makes a small world for each case.
package portstest
