// Package group starts programs in a process group of their own, or what comes
// nearest on the system, so that they can be ended with their children.
package group
