package profiles

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate-dev/headgate/flags"
)

// faults are the ways in which a version can be bad, each a variable of the
// environment. An image is bad for good when it was built with the build
// argument of the same name.
//
//	CRASH=true         ends at start with an error
//	NEVER_READY=true   answers /ready with 503
//	SLOW=1500ms        takes that long for each profile
//	LEAK=5             keeps another 5 MiB each second
//	DIE_AFTER=50       after that many profiles, breaks every connection off
//	                   and answers /ready with 503
//	FAIL_RATE=0.2      answers that share of the profiles with 500, evenly
//
// FAIL_RATE can be held back until something happens; all that is set must
// have happened:
//
//	FAIL_AFTER=500     that many profiles were asked for, in this process
//	FAIL_ABOVE_RPS=40  more than that were asked for within the last second
//	FAIL_FLAG=name     the feature flag of that name is on for the user. So what
//	                   is behind a flag can be bad, or, with a flag of its own,
//	                   somebody outside decides when all pods of a version
//	                   begin to fail, such as a test when it sees a weight of
//	                   50 %
type faults struct {
	crash, neverReady bool
	slow              time.Duration
	leak              int // MiB per second

	dieAfter     int64
	failRate     float64
	failAfter    int64
	failAboveRPS int64
	failFlag     string

	asked  atomic.Int64
	struck atomic.Int64
	second rate
	leaked [][]byte
}

func readFaults(getenv func(string) string) (*faults, error) {
	f := &faults{failFlag: getenv("FAIL_FLAG")}
	read := func(name string, parse func(text string) error) error {
		text := getenv(name)
		if text == "" { // as ARG and ENV without a value leave it
			return nil
		}
		if err := parse(text); err != nil {
			return fmt.Errorf("%s=%q is not understood", name, text)
		}
		return nil
	}
	for _, v := range []struct {
		name  string
		parse func(text string) error
	}{
		{"CRASH", func(s string) (err error) { f.crash, err = strconv.ParseBool(s); return }},
		{"NEVER_READY", func(s string) (err error) { f.neverReady, err = strconv.ParseBool(s); return }},
		{"SLOW", func(s string) (err error) { f.slow, err = time.ParseDuration(s); return }},
		{"DIE_AFTER", func(s string) (err error) { f.dieAfter, err = strconv.ParseInt(s, 10, 64); return }},
		{"LEAK", func(s string) (err error) { f.leak, err = strconv.Atoi(s); return }},
		{"FAIL_RATE", func(s string) (err error) { f.failRate, err = strconv.ParseFloat(s, 64); return }},
		{"FAIL_AFTER", func(s string) (err error) { f.failAfter, err = strconv.ParseInt(s, 10, 64); return }},
		{"FAIL_ABOVE_RPS", func(s string) (err error) { f.failAboveRPS, err = strconv.ParseInt(s, 10, 64); return }},
	} {
		if err := read(v.name, v.parse); err != nil {
			return nil, err
		}
	}
	if !(f.failRate >= 0 && f.failRate <= 1) {
		return nil, fmt.Errorf("FAIL_RATE=%v is not within 0 and 1", f.failRate)
	}
	return f, nil
}

// dead reports whether the process serves nobody any more.
func (f *faults) dead() bool { return f.dieAfter > 0 && f.asked.Load() >= f.dieAfter }

// strike delays a user's request, and reports whether it shall fail.
func (f *faults) strike(ctx context.Context, client *flags.Client, user flags.Context) bool {
	asked, now := f.asked.Add(1), f.second.add(time.Now().Unix())
	if f.slow > 0 {
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
		}
	}
	switch {
	case f.failRate == 0,
		asked <= f.failAfter,
		f.failAboveRPS > 0 && now <= f.failAboveRPS,
		f.failFlag != "" && !client.Bool(f.failFlag, false, user):
		return false
	}
	// Exactly the share, not by chance, so that short tests can count on it.
	n := float64(f.struck.Add(1))
	return math.Floor(n*f.failRate) > math.Floor((n-1)*f.failRate)
}

// leakMemory keeps memory that it has written to, so that it is really used.
func (f *faults) leakMemory(ctx context.Context) {
	if f.leak <= 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b := make([]byte, f.leak<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			f.leaked = append(f.leaked, b)
		}
	}
}

// rate counts events by the second that they happen in.
type rate struct {
	mu           sync.Mutex
	second       int64
	before, here int64
}

// add counts one event in a second (Unix time) and returns how many that
// second, or the one before where they were more, has had.
func (r *rate) add(second int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if second != r.second {
		r.before = 0
		if second == r.second+1 {
			r.before = r.here
		}
		r.second, r.here = second, 0
	}
	r.here++
	return max(r.before, r.here)
}
