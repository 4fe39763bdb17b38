package pipeline

// Sink is told every event of a run, in order, from one goroutine at a time.
// A sink cannot stop a run: what goes wrong in it is its own to log.
type Sink interface {
	Handle(e Event)
}
