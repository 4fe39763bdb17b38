package local

import "github.com/prometheus/procfs"

// consumptions reads what processes and all that descends from them use.
// Those that have ended, and what cannot be read, are left out.
func consumptions(pids []int) map[int]consumption {
	out := map[int]consumption{}
	if len(pids) == 0 {
		return out
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return out
	}
	stats, children := map[int]procfs.ProcStat{}, map[int][]int{}
	for _, p := range all {
		if s, err := p.Stat(); err == nil { // it may have just gone
			stats[p.PID] = s
			children[s.PPID] = append(children[s.PPID], p.PID)
		}
	}
	for _, pid := range pids {
		root, ok := stats[pid]
		if !ok {
			continue
		}
		sum := consumption{cpu: float64(root.CUTime+root.CSTime) / ticksPerSecond} // of children that have ended
		for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
			s := stats[queue[0]]
			sum.cpu += s.CPUTime()
			sum.memory += uint64(max(s.ResidentMemory(), 0)) //nolint:gosec // not negative
			queue = append(queue, children[queue[0]]...)
		}
		out[pid] = sum
	}
	return out
}

// ticksPerSecond is what Linux counts times in, on all systems that Go runs
// on.
const ticksPerSecond = 100
