// Package imports holds a test and nothing else: it enforces which package
// may import which. The rules are a table in imports_test.go; whoever changes
// it changes the design.
package imports
