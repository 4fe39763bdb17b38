package route

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// maker makes the routers of one word of the pipeline file.
type maker struct {
	// from settings, and from a snapshot, for putting it back. Neither makes
	// a request.
	settings func(*kube.Cluster, Settings) (stages.Router, error)
	snapshot func(*kube.Cluster, json.RawMessage) (stages.Router, error)
}

// makers are those of all routers. Every snapshot is an object with the word
// at "router".
func makers() map[string]maker {
	return map[string]maker{
		stages.HTTPRouteRouter:    {made(NewHTTPRoute), rulesFrom},
		stages.GRPCRouteRouter:    {made(NewGRPCRoute), rulesFrom},
		stages.NginxRouter:        {made(NewNginx), nginxFrom},
		stages.ServiceRouter:      {made(NewServiceSwitch), serviceFrom},
		stages.ReplicasRouter:     {made(NewReplicas), replicasFrom},
		stages.IstioRouter:        {made(NewVirtualService), rulesFrom},
		stages.IngressNginxRouter: {made(NewIngressNginx), ingressFrom},
	}
}

// made hides the type of a router.
func made[R stages.Router](f func(*kube.Cluster, Settings) (R, error)) func(*kube.Cluster, Settings) (stages.Router, error) {
	return func(c *kube.Cluster, s Settings) (stages.Router, error) {
		r, err := f(c, s)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// New returns the router that a word of the pipeline file names. It makes no
// request.
func New(c *kube.Cluster, router string, s Settings) (stages.Router, error) {
	m, ok := makers()[router]
	if !ok {
		return nil, fmt.Errorf("choose router: %s is not known", cmp.Or(router, "none"))
	}
	return m.settings(c, s)
}

// FromSnapshot returns the router that made a snapshot, for putting it back.
func FromSnapshot(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	var head struct {
		Router string `json:"router"`
	}
	if err := json.Unmarshal(was, &head); err != nil {
		return nil, fmt.Errorf("read snapshot of route: %w", err)
	}
	m, ok := makers()[head.Router]
	if !ok {
		return nil, fmt.Errorf("read snapshot of route: there is no router %q", head.Router)
	}
	return m.snapshot(c, was)
}
