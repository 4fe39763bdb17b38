package local

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func rolling(surge, unavailable string) *appsv1.Deployment {
	d := &appsv1.Deployment{}
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	if surge != "" {
		v := intstr.Parse(surge)
		d.Spec.Strategy.RollingUpdate.MaxSurge = &v
	}
	if unavailable != "" {
		v := intstr.Parse(unavailable)
		d.Spec.Strategy.RollingUpdate.MaxUnavailable = &v
	}
	return d
}

func TestLimitsRoundAsKubernetesDoes(t *testing.T) {
	for _, c := range []struct {
		surge, unavailable string
		want               int
		limits             limits
	}{
		{"", "", 3, limits{3, 1, 0, false}},
		{"", "", 10, limits{10, 3, 2, false}},
		{"0", "0", 3, limits{3, 0, 1, false}},
		{"50%", "50%", 3, limits{3, 2, 1, false}},
		{"2", "1", 3, limits{3, 2, 1, false}},
		{"0", "25%", 1, limits{1, 0, 1, false}},
	} {
		if got := limitsOf(rolling(c.surge, c.unavailable), c.want); got != c.limits {
			t.Errorf("surge %q, unavailable %q of %d: got %+v, want %+v", c.surge, c.unavailable, c.want, got, c.limits)
		}
	}
}

// An update ends, whatever its limits, and on the way there are never too few
// pods that serve, nor too many at all.
func TestRollingUpdateKeepsWithinItsLimits(t *testing.T) {
	for _, surge := range []string{"0", "1", "3", "25%", "100%"} {
		for _, unavailable := range []string{"0", "1", "50%"} {
			for want := 1; want <= 6; want++ {
				for bad := 0; bad <= want; bad += max(want, 1) { // old pods: all well, or none
					t.Run(fmt.Sprintf("%s/%s/%d/%d", surge, unavailable, want, bad), func(t *testing.T) {
						l := limitsOf(rolling(surge, unavailable), want)
						update(t, l, counts{old: want, oldAvailable: want - bad})
					})
				}
			}
		}
	}
}

func update(t *testing.T, l limits, c counts) {
	t.Helper()
	least := min(l.want-l.unavailable, c.oldAvailable)
	for range 100 {
		if c.fresh == l.want && c.freshAvailable == l.want && c.old == 0 {
			return
		}
		s := next(c, l)
		if s.endOld > c.old || s.endFresh > c.fresh {
			t.Fatalf("at %+v: %+v ends more than there are", c, s)
		}
		// Those that are not available end first.
		c.oldAvailable -= max(0, s.endOld-(c.old-c.oldAvailable))
		c.old -= s.endOld
		c.fresh += s.start
		if total := c.fresh + c.old; total > l.want+l.surge {
			t.Fatalf("%d pods at once, at most %d are allowed", total, l.want+l.surge)
		}
		if now := c.freshAvailable + c.oldAvailable; now < least {
			t.Fatalf("%d pods are available, and %d must be", now, least)
		}
		if c.freshAvailable < c.fresh { // one more gets ready
			c.freshAvailable++
		}
	}
	t.Fatalf("the update does not end: %+v", c)
}

func TestRecreateEndsAllBeforeItStartsOne(t *testing.T) {
	l := limits{want: 2, recreate: true}
	for _, c := range []struct {
		counts counts
		want   step
	}{
		{counts{old: 2, oldAvailable: 2}, step{endOld: 2}},
		{counts{}, step{start: 2}},
		{counts{fresh: 2}, step{}},
	} {
		if got := next(c.counts, l); got != c.want {
			t.Errorf("at %+v: got %+v, want %+v", c.counts, got, c.want)
		}
	}
}

func TestSizeIsFollowed(t *testing.T) {
	l := limits{want: 2, surge: 1}
	if got := next(counts{fresh: 5, freshAvailable: 5}, l); got != (step{endFresh: 3}) {
		t.Errorf("got %+v, want 3 ended", got)
	}
	if got := next(counts{fresh: 1, freshAvailable: 1}, l); got != (step{start: 1}) {
		t.Errorf("got %+v, want 1 started", got)
	}
}
