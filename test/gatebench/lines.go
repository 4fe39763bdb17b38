package gatebench

// Lines are all lines of the benchmark, in the order of their table.
func Lines() []Line {
	return []Line{
		line("G1", "a release like stable", "False rollbacks, and where half of all are rolled back, the median of when."),
		line("G2", "the same with alpha 5 %", ""),
		several(),
		line("G4", "a good release in bad weather", "What fails both tracks is not the release's fault."),
		line("G5", "a harmless difference", "5 % more errors than stable are tolerated on purpose."),
		line("G6", "errors that come in bursts", "A failing client tries again: errors come in clusters of a mean size. How much more they vary is measured in the hour before."),
		line("G7", "a cold start", "The first minute does not count."),
		line("D1", "a tenfold error rate", ""),
		line("D2", "the same with more requests", ""),
		line("D3", "a doubled error rate", ""),
		line("D4", "the same with more requests", ""),
		line("D5", "a fifth more errors", "The default tolerates a tenth and wants to be sure of the rest."),
		line("D6", "a release that fails every other request", ""),
		line("D7", "a release that fails all", ""),
		line("D8", "a fiftyfold error rate, few requests", ""),
		line("D9", "a regression that begins in the middle", "A memory that fills up, a cache that runs out."),
		line("D10", "few requests and more time", "The gate is inconclusive when its five minutes are over, and goes on for up to 30."),
		latency(),
		memory(),
		line("V1", "too little to tell", "A tenfold error rate must not pass because nobody saw it. Where it was neither rolled back nor passed the gate was inconclusive; a rule of others promotes all that it does not roll back."),
		line("V2", "a good release is told so", ""),
		planning(),
	}
}
