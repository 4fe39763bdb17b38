//go:build race

package pipeline_test

// The build tag is the only way to know.
func init() { racing = true }
