package pipeline

import "github.com/headgate-dev/headgate/pipeline/source"

// Parse reads a pipeline file and checks it. It returns every mistake at
// once; the pipeline is nil when one of them is more than a warning.
func Parse(f source.File, g Grammar) (*Pipeline, source.Problems) {
	return g.Parse(f, nil)
}

// Parse is like the function [Parse], with values that replace those of
// declared variables.
func (g Grammar) Parse(f source.File, vars map[string]string) (*Pipeline, source.Problems) {
	return nil, nil
}
