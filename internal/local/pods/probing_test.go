package pods

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProbing plays answers and looks at what counts and decides. A letter is
// the answer in a second of its own: y yes, n no, s yes but too slow.
func TestProbing(t *testing.T) {
	tests := []struct {
		name    string
		probe   probing
		answers string
		want    string
	}{
		{
			"thresholds",
			probing{period: time.Second, success: 2, failure: 3},
			"nynnnnyyny", "0s n1 1s y1 2s n1 3s n2 4s n3! 5s n4! 6s y1 7s y2! 8s n1 9s y1",
		},
		{
			"of one",
			probing{period: time.Second, success: 1, failure: 1},
			"nyn", "0s n1! 1s y1! 2s n1!",
		},
		{
			"a delay",
			probing{delay: 2 * time.Second, period: 3 * time.Second, success: 1, failure: 1},
			"nnynnnnn", "2s y1! 5s n1!",
		},
		{
			"a slow answer is a no, and what it is late for is left out",
			probing{period: time.Second, success: 1, failure: 2},
			"ysyyy", "0s y1! 2.5s n1 3s y1! 4s y2!",
		},
		{
			"eager: yes counts between the times, no does not, and only the first yes",
			probing{period: 10 * time.Second, success: 1, failure: 2, eager: true},
			"nnnnnnnnnnnnnnynnnnnnnnnnnnnnnny", "0s n1 10s n2! 14.55s y1! 20s n1 30s n2!",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(tt.answers))*time.Second-time.Millisecond)
				defer cancel()
				tt.probe.timeout = 1500 * time.Millisecond
				tt.probe.ask = func(ctx context.Context) error {
					switch tt.answers[int(time.Since(begun)/time.Second)] {
					case 'n':
						return errors.New("no")
					case 's':
						<-ctx.Done() // and then it says yes
					}
					return nil
				}
				var got []string
				tt.probe.run(ctx, func(a answer) bool {
					text := fmt.Sprintf("%s y%d", time.Since(begun), a.times)
					if a.err != nil {
						text = fmt.Sprintf("%s n%d", time.Since(begun), a.times)
					}
					if a.decided {
						text += "!"
					}
					got = append(got, text)
					return true
				})
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
			})
		})
	}
}
