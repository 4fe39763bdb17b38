package local

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// counts are the pods of a Deployment that are not being ended.
type counts struct {
	// fresh are made from the present template, old from a former one.
	fresh, freshAvailable int
	old, oldAvailable     int
}

// limits are how far a rolling update may go.
type limits struct {
	want, surge, unavailable int
	// recreate ends all old pods before the first new one.
	recreate bool
}

// step is what to do next: how many new pods to start, and how many of the new
// and of the old to end, those that are not available first.
type step struct{ start, endFresh, endOld int }

// limitsOf reads the strategy of a Deployment. As in Kubernetes a surge is
// rounded up, and what may be unavailable down; both cannot be 0.
func limitsOf(d *appsv1.Deployment, want int) limits {
	l := limits{want: want, recreate: d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType}
	quarter := intstr.FromString("25%")
	surge, unavailable := &quarter, &quarter
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		if r.MaxSurge != nil {
			surge = r.MaxSurge
		}
		if r.MaxUnavailable != nil {
			unavailable = r.MaxUnavailable
		}
	}
	l.surge = scaled(surge, want, true)
	l.unavailable = scaled(unavailable, want, false)
	if l.surge == 0 && l.unavailable == 0 {
		l.unavailable = 1
	}
	return l
}

func scaled(v *intstr.IntOrString, of int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(v, of, up)
	if err != nil {
		return 0 // the other limit then carries the update
	}
	return max(n, 0)
}

// next says what brings a Deployment nearer to what is wanted, without more
// than want+surge pods and without fewer than want-unavailable that are
// available.
func next(c counts, l limits) step {
	var s step
	if c.fresh > l.want {
		s.endFresh = c.fresh - l.want
	}
	if l.recreate {
		s.endOld = c.old
		if c.old == 0 && c.fresh < l.want {
			s.start = l.want - c.fresh
		}
		return s
	}
	if c.fresh < l.want {
		s.start = max(0, min(l.want-c.fresh, l.want+l.surge-c.fresh-c.old))
	}
	if c.old == 0 {
		return s
	}
	least := l.want - l.unavailable
	// New pods that are not available yet take the place of old ones that
	// would be missed.
	may := c.fresh + c.old - least - (c.fresh - c.freshAvailable)
	if may <= 0 {
		return s
	}
	s.endOld = min(c.old-c.oldAvailable, may)
	if spare := c.freshAvailable + c.oldAvailable - least; spare > 0 {
		s.endOld += min(c.oldAvailable, spare)
	}
	s.endOld = min(s.endOld, c.old)
	return s
}
