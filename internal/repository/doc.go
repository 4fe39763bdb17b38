// Package repository holds tests of what lies around the code: workflows,
// the action, scripts and the folder of changes.
package repository
