package proxy

import (
	"maps"
	"net/http"
)

// Count is how the requests for a track have ended.
type Count struct {
	// Requests is how many have ended.
	Requests int
	// Status is how many got which status, those included that the proxy
	// answered in a pod's stead.
	Status map[int]int
	// Broken were ended by the pod before all of the answer was there, or
	// reached none. Departed were ended by the client.
	Broken, Departed int
	// Again is how often a request was sent to another pod, since nothing of
	// it could be sent to the first.
	Again int
}

func (c *Count) add(f *flight) {
	if c.Status == nil {
		c.Status = map[int]int{}
	}
	c.Requests++
	c.Again += f.again
	if f.status != 0 {
		c.Status[f.status]++
	}
	switch {
	case f.departed:
		c.Departed++
	case f.broken:
		c.Broken++
	}
}

// Failed is how many requests got no answer, or one that blames the server.
func (c Count) Failed() int {
	failed := 0
	for status, n := range c.Status {
		if status >= http.StatusInternalServerError {
			failed += n
		}
	}
	// What was answered in a pod's stead is counted by its status already.
	return max(failed, c.Broken)
}

// Counts returns, for each track of a route, how its requests have ended.
func (s *Server) Counts(route string) map[string]Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Count{}
	if rt, ok := s.routes[route]; ok {
		for name, t := range rt.tracks {
			c := t.count
			c.Status = maps.Clone(c.Status)
			all[name] = c
		}
	}
	return all
}
