package importer

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first needed:
// all of them together are a good part of the time that a program takes to
// start, and most runs need few.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
