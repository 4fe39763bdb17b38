package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// service is a Service as routes point at it.
type service struct {
	namespace, name string
}

// String returns "namespace/name".
func (s service) String() string { return s.namespace + "/" + s.name }

// finder finds the Services of the two tracks of a split.
type finder struct {
	c   *kube.Cluster
	set Settings
	// route is the router's name, for errors.
	route string
	// pointed reports whether the route points at a Service.
	pointed func(s service) bool
}

// find returns them, and whether they will stay what they are: a colour that
// has no Deployment yet may get a Service of another name.
func (f finder) find(ctx context.Context) (old, next service, final bool, err error) {
	if old, _, err = f.of(ctx, f.set.Split.Old, f.set.Service); err != nil {
		return service{}, service{}, false, err
	}
	if !f.set.Split.New.Colour() {
		name := f.set.NewService
		if name == "" {
			name = kube.CanaryName(f.set.Split.Old.Workload.Name)
		}
		return old, service{old.namespace, name}, true, nil
	}
	next, final, err = f.of(ctx, f.set.Split.New, f.set.NewService)
	if err == nil && next == old {
		err = fmt.Errorf("%s and %s have the same Service %s; it cannot be split between them", f.set.Split.Old, f.set.Split.New, old)
	}
	return old, next, final, err
}

// of finds the Service of one track: the given one, else of those that select
// its pods the one that the route points at.
func (f finder) of(ctx context.Context, t stages.Track, given string) (s service, final bool, err error) {
	ns := t.Workload.Namespace
	if t.Colour() && t.Service != "" {
		given = t.Service
	}
	if given != "" {
		return service{ns, given}, true, nil
	}
	names, err := f.c.OwnServices(ctx, t)
	switch {
	case kube.IsNotFound(err) && t.Colour():
		return service{ns, t.Workload.Name}, false, nil // It will be made with this name.
	case err != nil:
		return service{}, false, err
	}
	at := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !f.pointed(service{ns, name}) })
	switch {
	case len(at) == 1:
		return service{ns, at[0]}, true, nil
	case len(at) > 1:
		return service{}, false, fmt.Errorf("%s points at several Services of the workload (%s); say which with the key service", f.route, strings.Join(at, ", "))
	case !t.Colour():
		return service{}, false, &PointsElsewhereError{Route: f.route, Workload: t.Workload, Services: names}
	}
	return f.idle(t, names)
}

// idle finds the Service of a colour that the route does not point at.
func (f finder) idle(t stages.Track, names []string) (s service, final bool, err error) {
	ns := t.Workload.Namespace
	switch {
	case len(names) == 0:
		return service{ns, t.Workload.Name}, false, nil // It will be made.
	case slices.Contains(names, t.Workload.Name):
		return service{ns, t.Workload.Name}, true, nil
	case len(names) == 1:
		return service{ns, names[0]}, true, nil
	}
	return service{}, false, fmt.Errorf("%s has several Services of its own (%s); say which with the key service of %s", t, strings.Join(names, ", "), t.Name)
}

// PointsElsewhereError reports a route none of whose rules points at a Service
// of the workload.
type PointsElsewhereError struct {
	Route    string
	Workload stages.Workload
	Services []string
}

// Error names the route and the Services that were looked for.
func (e *PointsElsewhereError) Error() string {
	if len(e.Services) == 0 {
		return fmt.Sprintf("%s cannot be split: no Service selects the pods of %s", e.Route, e.Workload)
	}
	return fmt.Sprintf("%s has no rule that points at a Service of %s (%s)", e.Route, e.Workload, strings.Join(e.Services, ", "))
}

// Hint says what to do about it.
func (e *PointsElsewhereError) Hint() string {
	return "name the route that carries the workload's traffic, or its Service with service:"
}
