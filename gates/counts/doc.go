// Package counts turns raw samples of counters into whole numbers of requests
// and bad requests, one pair for each look of a gate and each track. It knows
// no Prometheus: it is given series, and says which query would answer with
// them.
//
// What counters lose on their way to a ratio is where gates go wrong, so that
// nothing here is a rate. Each event is counted once, in the look in which
// the sample that first shows it lies:
//
//   - The base of a series that was there before the watch began is its last
//     sample up to that moment.
//   - A series born since counts from zero, so that its first sample counts as
//     well; rate() and increase() lose it, and with it the first errors of a
//     new pod.
//   - A sample smaller than the one before is a restart from zero.
//   - A series that misses a scrape gives its events to the look of its next
//     sample. When a whole track missed it, neither track's counts are used for
//     a comparison until both have samples again, and the events of both then
//     fall into that look: the two always cover the same time.
//   - A series that vanishes keeps what it counted.
//   - Samples that arrive late are taken in for two scrapes, and what they
//     show falls into the next look that is taken.
//   - Two series of one counter, as two replicas of Prometheus or two jobs
//     scrape it, are counted once, and the look says so.
package counts
