package demo

import (
	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
)

// Wrap breaks a text into lines.
var Wrap = wrap

// Requests writes a number of requests.
var Requests = requests

// Seen is what users saw in a part of the time.
type Seen = map[string]load.Count

// Came is what came of an act, for Judge.
type Came struct {
	Result           pipeline.Result
	During, After    Seen
	Lost             int // requests that nobody answered, during the act
	FlagBefore, Flag string
}

// Judge holds the act of a number, from 1, to the story.
func Judge(act int, c Came) (said string, wrong []string) {
	before := came{result: c.Result, during: total(c.During), after: total(c.After), flagBefore: c.FlagBefore, flagAfter: c.Flag}
	before.during.Requests += c.Lost
	before.during.Failed += c.Lost
	return acts()[act-1].judge(before)
}

func total(versions Seen) seen {
	s := seen{versions: versions}
	for _, c := range versions {
		s.Requests += c.Requests
		s.Failed += c.Failed
	}
	return s
}
