// Package gates judges a release: it asks checks again and again and turns
// the answers into verdicts.
//
// A [Gate] is what the pipeline file declares, a [Watch] is one use of it
// beside a track that gets traffic. Four rules hold for all of it:
//
//   - Nothing fails open. An answer is typed (see [Result]): no data, NaN, a
//     provider that does not answer and the like are results of their own,
//     each with a stated policy, and none of them counts as well.
//   - A pass is shown, not assumed: it takes a look in which every check
//     answered, with enough samples, within its bounds.
//   - Windows begin when the track began to get traffic, on Prometheus' clock.
//   - Requests are counted from raw samples. A series that appears while the
//     track is watched began at zero, so the first error of a new pod counts,
//     which rate() and increase() lose.
package gates
