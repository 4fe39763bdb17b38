package stages

import "github.com/headgate-dev/headgate/pipeline/source"

// Traffic says what splits traffic between the tracks.
type Traffic struct {
	Pos       source.Pos
	HTTPRoute source.String   `yaml:"httpRoute" oneof:"router" example:"user-service" doc:"Name of the HTTPRoute (Gateway API) whose rules point at the workload's Service; namespace/name when it is in another namespace."`
	Service   source.String   `yaml:"service" doc:"The Service that users reach the workload by. Default: the one that the route points at and that selects the workload's pods."`
	Probe     source.Template `yaml:"probe" doc:"URL through the real path that must answer with a status below 400 after every change of weight, such as http://gateway.example/health."`
	Drain     source.Duration `yaml:"drain" default:"5s" doc:"How long a track may still get requests after its weight has become 0, before its pods are ended."`
	Settle    source.Duration `yaml:"settle" default:"1s" doc:"How long the endpoints of new pods are given to reach the proxies, after Kubernetes shows them as ready and before they get traffic."`
}
