package route

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Nginx splits the traffic of an nginx in front of the tracks: it changes the
// weights of both tracks' servers in one upstream block of a ConfigMap, and
// nothing else, and makes every nginx that mounts the ConfigMap load it.
type Nginx struct {
	c   *kube.Cluster
	set Settings
}

var (
	_ stages.Router        = (*Nginx)(nil)
	_ stages.Checker       = (*Nginx)(nil)
	_ stages.Permitter     = (*Nginx)(nil)
	_ stages.WeightPlanner = (*Nginx)(nil)
)

// NewNginx returns the router for the ConfigMap s.Route. It makes no request. The ConfigMap's namespace is by default that of both tracks, and
// where these have two, that of the pipeline.
func NewNginx(c *kube.Cluster, s Settings) (*Nginx, error) {
	if s.Route == "" || s.Split.Old.Workload.Name == "" {
		return nil, fmt.Errorf("make router nginx: the names of ConfigMap and workload must be given")
	}
	s.Split = placed(c, s.Split)
	if s.Split.New.Workload.Namespace == s.Split.Old.Workload.Namespace {
		s.Namespace = cmp.Or(s.Namespace, s.Split.Old.Workload.Namespace)
	}
	s.Namespace = cmp.Or(s.Namespace, c.Namespace())
	// The slowest kubelet looks at a ConfigMap after a minute.
	s.Timeout = cmp.Or(s.Timeout, 100*time.Second)
	return &Nginx{c: c, set: s}, nil
}

// placed is a split whose workloads have their namespaces.
func placed(c *kube.Cluster, s stages.Split) stages.Split {
	s.Old.Workload.Namespace = cmp.Or(s.Old.Workload.Namespace, c.Namespace())
	if s.New.Workload.Name == "" {
		s.New = stages.Track{Workload: s.Old.Workload, Name: stages.Canary}
	}
	s.New.Workload.Namespace = cmp.Or(s.New.Workload.Namespace, s.Old.Workload.Namespace)
	return s
}

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

// Name returns "nginx namespace/name".
func (r *Nginx) Name() string { return stages.NginxRouter + " " + r.set.Namespace + "/" + r.set.Route }

// nginxConfig is a ConfigMap and the upstream block in it.
type nginxConfig struct {
	object *unstructured.Unstructured
	key    string
	block  *nginxUpstream
	// next is the new track's Service.
	next service
}

// text is what the block's key says now.
func (n *nginxConfig) text() string { return n.block.text }

// at returns the key's text with a weight.
func (n *nginxConfig) at(percent float64) (string, error) {
	missing := ""
	if n.block.new == nil && n.block.old != nil {
		missing = hostLike(n.block.old.d.words[1].text, n.next, n.object.GetNamespace())
	}
	return n.block.at(percent, missing)
}

// with returns the ConfigMap with another text.
func (n *nginxConfig) with(text string) *unstructured.Unstructured {
	u := n.object.DeepCopy()
	data, _, _ := unstructured.NestedStringMap(u.Object, "data")
	data[n.key] = text
	_ = unstructured.SetNestedStringMap(u.Object, data, "data")
	return u
}

// get reads the ConfigMap.
func (r *Nginx) get(ctx context.Context) (*unstructured.Unstructured, error) {
	return r.c.Get(ctx, configMaps(), r.set.Namespace, r.set.Route)
}

// read reads the ConfigMap and finds the block.
func (r *Nginx) read(ctx context.Context) (*nginxConfig, error) {
	u, err := r.get(ctx)
	if err != nil {
		return nil, err
	}
	old, next, err := r.services(ctx, u)
	if err != nil {
		return nil, err
	}
	return r.find(u, old, next)
}

// services finds those of both tracks.
func (r *Nginx) services(ctx context.Context, u *unstructured.Unstructured) (old, next service, err error) {
	data, _, _ := unstructured.NestedStringMap(u.Object, "data")
	f := finder{c: r.c, set: r.set, route: r.Name(), pointed: func(s service) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(data)), func(text string) bool {
			return nginxPointsAt(text, nginxHosts{s, r.set.Namespace})
		})
	}}
	old, next, _, err = f.find(ctx)
	return old, next, err
}

// find finds the block that has a server of the old track; of several, the
// ones that have the new one's too.
func (r *Nginx) find(u *unstructured.Unstructured, old, next service) (*nginxConfig, error) {
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Name(), err)
	}
	var all, both []*nginxConfig
	for _, key := range slices.Sorted(maps.Keys(data)) {
		blocks, err := nginxUpstreams(data[key], nginxHosts{old, r.set.Namespace}, nginxHosts{next, r.set.Namespace})
		if err != nil {
			if strings.Contains(data[key], "upstream") {
				return nil, &unclearConfigError{r.Name(), key, err}
			}
			continue // It is no configuration of nginx, or none of ours.
		}
		for _, b := range blocks {
			if r.set.Upstream != "" && b.name != r.set.Upstream {
				continue
			}
			n := &nginxConfig{object: u, key: key, block: b, next: next}
			if all = append(all, n); b.old != nil && b.new != nil {
				both = append(both, n)
			}
		}
	}
	if len(both) > 0 {
		all = both
	}
	switch {
	case len(all) == 0:
		return nil, &noUpstreamError{route: r.Name(), upstream: r.set.Upstream, old: old, next: next}
	case len(all) > 1:
		return nil, &manyUpstreamsError{route: r.Name(), names: []string{all[0].block.name, all[1].block.name}}
	}
	return all[0], nil
}

// Weight reads what share the new track gets.
func (r *Nginx) Weight(ctx context.Context) (float64, error) {
	n, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := n.block.weight()
	return w, wrap("read weight of "+r.Name(), err)
}

// SetWeight moves the share from one to another; see [stages.Router]. The new
// configuration is tested by nginx itself before it is written.
func (r *Nginx) SetWeight(ctx context.Context, from, to float64) error {
	what := fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to))
	if _, _, err := nginxWeights(to); err != nil {
		return wrap(what, err)
	}
	ctx, cancel := r.within(ctx)
	defer cancel()
	err := r.change(ctx, true, func(u *unstructured.Unstructured) (*nginxConfig, string, error) {
		n, err := r.readFrom(ctx, u)
		if err != nil {
			return nil, "", err
		}
		now, err := n.block.weight()
		switch {
		case err != nil:
			return nil, "", r.drift(u, err.Error(), percent(from))
		case !near(now, to) && !near(now, from):
			return nil, "", r.drift(u, percent(now), percent(from))
		}
		text, err := n.at(to)
		return n, text, err
	})
	return wrap(what, err)
}

func (r *Nginx) readFrom(ctx context.Context, u *unstructured.Unstructured) (*nginxConfig, error) {
	old, next, err := r.services(ctx, u)
	if err != nil {
		return nil, err
	}
	return r.find(u, old, next)
}

// within bounds a change.
func (r *Nginx) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.set.Timeout, fmt.Errorf("not every nginx has loaded it within %s", r.set.Timeout))
}

func (r *Nginx) drift(u *unstructured.Unstructured, found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want, By: kube.LastManager(u)}
}

// change makes one write: what next makes of the ConfigMap as it is, tested
// before, loaded by every nginx afterwards. A write that somebody else was
// faster than is made anew on what was read anew. forward says that it is a
// new state, which makes no sense without an nginx that runs.
func (r *Nginx) change(ctx context.Context, forward bool, next func(u *unstructured.Unstructured) (*nginxConfig, string, error)) error {
	for try := 1; ; try++ {
		u, err := r.get(ctx)
		if err != nil {
			return err
		}
		n, text, err := next(u)
		if err != nil {
			return err
		}
		fleet, err := r.fleet(ctx, n.key)
		if err != nil {
			return err
		}
		if forward && len(fleet.now) == 0 {
			return &noNginxError{r.Name()}
		}
		if text != n.text() {
			if immutable, _, _ := unstructured.NestedBool(u.Object, "immutable"); immutable {
				return &immutableError{r.Name()}
			}
			if err := fleet.test(ctx, text, forward); err != nil {
				return err
			}
			_, err = r.c.Update(ctx, configMaps(), n.with(text), kube.Write{})
			if kube.IsConflict(err) && try < conflictTries {
				continue
			}
			if err != nil {
				return err
			}
		}
		return fleet.load(ctx, text)
	}
}

// PlanWeight says what SetWeight would write, by a dry run on the server.
func (r *Nginx) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	what := fmt.Sprintf("plan weight %s of %s", percent(to), r.Name())
	n, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	text, err := n.at(to)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	after, err := r.c.Update(ctx, configMaps(), n.with(text), kube.Write{DryRun: true})
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("%s of the traffic of upstream %s to Service %s, by every nginx that mounts ConfigMap %s", percent(to), n.block.name, n.next, r.set.Route),
		Diff:    kube.Diff(n.object, after),
	}, nil
}

// Permissions names what the router needs.
func (r *Nginx) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *Nginx) permissions() []kube.Permission {
	return []kube.Permission{
		{Verb: "get", Resource: "configmaps", Namespace: r.set.Namespace},
		{Verb: "update", Resource: "configmaps", Namespace: r.set.Namespace},
		{Verb: "list", Resource: "pods", Namespace: r.set.Namespace},
		{Verb: "patch", Resource: "pods", Namespace: r.set.Namespace},
		{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: r.set.Namespace},
	}
}

// nginxSnapshot is what the servers of both tracks were.
type nginxSnapshot struct {
	Router    string       `json:"router"`
	Namespace string       `json:"namespace"`
	Route     string       `json:"route"`
	Split     stages.Split `json:"split"`
	Upstream  string       `json:"upstream"`
	Key       string       `json:"key"`
	// OldService and NewService are "namespace/name".
	OldService string `json:"oldService"`
	NewService string `json:"newService"`
	// Old and New are the text of both servers, "" where there was none.
	Old    string  `json:"old"`
	New    string  `json:"new,omitempty"`
	Weight float64 `json:"weight"`
}

// Snapshot returns the servers of both tracks as they are.
func (r *Nginx) Snapshot(ctx context.Context) (json.RawMessage, error) {
	u, err := r.get(ctx)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	old, next, err := r.services(ctx, u)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	n, err := r.find(u, old, next)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	s := nginxSnapshot{
		Router: stages.NginxRouter, Namespace: r.set.Namespace, Route: r.set.Route, Split: r.set.Split,
		Upstream: n.block.name, Key: n.key, OldService: old.String(), NewService: next.String(),
		Old: n.block.old.text(n.text()), New: n.block.new.text(n.text()),
	}
	if s.Weight, err = n.block.weight(); err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	b, err := json.Marshal(s)
	return b, wrap("save "+r.Name(), err)
}

func readNginxSnapshot(was json.RawMessage) (nginxSnapshot, error) {
	var s nginxSnapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return nginxSnapshot{}, fmt.Errorf("read snapshot of route: %w", err)
	}
	if s.Router != stages.NginxRouter || s.Namespace == "" || s.Route == "" || s.Upstream == "" || s.Key == "" || s.OldService == "" || s.NewService == "" || s.Old == "" && s.New == "" {
		return nginxSnapshot{}, fmt.Errorf("read snapshot of route: it does not say which servers of an nginx it is of")
	}
	return s, nil
}

// nginxFrom returns the router that made a snapshot.
func nginxFrom(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readNginxSnapshot(was)
	if err != nil {
		return nil, err
	}
	return NewNginx(c, Settings{Namespace: s.Namespace, Route: s.Route, Split: s.Split, Upstream: s.Upstream})
}

// Restore makes both servers what a snapshot holds; see [stages.Router].
// Everything else in the ConfigMap stays as it is now.
func (r *Nginx) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readNginxSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Namespace != r.set.Namespace || s.Route != r.set.Route {
		return fmt.Errorf("%s: the snapshot is of nginx %s/%s", what, s.Namespace, s.Route)
	}
	ctx, cancel := r.within(ctx)
	defer cancel()
	again := &Nginx{c: r.c, set: r.set}
	again.set.Upstream = s.Upstream
	err = again.change(ctx, false, func(u *unstructured.Unstructured) (*nginxConfig, string, error) {
		n, err := again.find(u, serviceOf(s.OldService), serviceOf(s.NewService))
		if err != nil {
			return nil, "", err
		}
		text, err := n.block.restored(s)
		return n, text, err
	})
	return wrap(what, err)
}

// serviceOf reads what [service.String] writes.
func serviceOf(s string) service {
	ns, name, _ := strings.Cut(s, "/")
	return service{ns, name}
}
