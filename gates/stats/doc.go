// Package stats holds the statistics that gates decide with: pure functions
// of counts, without metrics, clocks or files.
//
// The unit is the look: what was counted of both tracks since the look
// before. Looks are numbered from 1 up to the number that was planned, so
// that time enters only as a number. A look that could not be made is not
// added, and what it would have spent stays for later ones.
//
//   - [Comparison] asks whether the canary is worse than stable, [Limit]
//     whether a track is worse than a fixed share, [Family] does so for all
//     checks of a gate together. Each keeps its promise of false alarms
//     however often it is asked: see [Comparison] for the proof.
//   - [Evidence] is the number for people, and for watches without an end.
//   - [PassComparison] and [PassLimit] say when a pass has been shown.
//   - [Dispersion], [ShareCheck] and [Catastrophic] guard against data that
//     is not what the tests take it for.
//   - [JudgeGauges] compares pods by what they use, [KofN] holds a plain
//     number against a limit, [QuantileInterval] bounds a quantile.
//   - [DetectionTime] and [SmallestDetectable] tell what a gate will see
//     before it is used.
//
// All results are finite numbers, whatever the input, so that every record
// can be written as JSON. Counts that cannot be (negative, or more bad
// requests than requests) are mended towards the harmless side: see [Arm].
package stats
