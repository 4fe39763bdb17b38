package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// idleEnough is the part of the machine's time that must be left for a
// measurement to say something.
const idleEnough = 0.75

// quiet waits until the machine has had little to do for a second, at most
// for limit, and reports whether it came to that. Where the system does not
// tell, it is quiet at once.
func quiet(ctx context.Context, limit time.Duration) bool {
	for end := time.Now().Add(limit); ; {
		before, ok := readCPU()
		if !ok {
			return true
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
		after, _ := readCPU()
		if after.idleSince(before) >= idleEnough {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// cpu is what the machine's processors have done so far, in ticks.
type cpu struct{ idle, all float64 }

func (c cpu) idleSince(before cpu) float64 {
	if c.all <= before.all {
		return 0
	}
	return (c.idle - before.idle) / (c.all - before.all)
}

func readCPU() (cpu, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpu{}, false
	}
	return parseCPU(string(b))
}

// parseCPU reads the first line of /proc/stat: user, nice, system, idle, wait
// for input and output, and others.
func parseCPU(stat string) (cpu, bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return cpu{}, false
	}
	var c cpu
	for i, f := range fields[1:min(len(fields), 9)] { // Guests' time is in user's.
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return cpu{}, false
		}
		c.all += n
		if i == 3 || i == 4 {
			c.idle += n
		}
	}
	return c, true
}
