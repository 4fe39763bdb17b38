package cli

import (
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// The keys of the sections that say where the world is.
const (
	kubernetesKey = "kubernetes"
	redisKey      = "redis"
)

// kubernetesSection says which cluster and namespace a pipeline works on.
type kubernetesSection struct {
	Pos        source.Pos
	Namespace  source.String `yaml:"namespace" doc:"Namespace of workloads that do not name their own. Default: that of the context, or of the pod that Headgate runs in."`
	Context    source.String `yaml:"context" doc:"Context of the kubeconfig. Default: the current one, or the pod's own service account."`
	Kubeconfig source.String `yaml:"kubeconfig" doc:"Path of the kubeconfig file. Default: what KUBECONFIG names, or ~/.kube/config."`
}

// redisSection says where the feature flags are.
type redisSection struct {
	Pos source.Pos
	URL source.Template `yaml:"url" required:"true" short:"true" doc:"Address of the Redis that holds the feature flags." example:"redis://:${{ secrets.redis_password }}@redis:6379/0"`
}

// sections declares them.
func sections() []pipeline.Section {
	return []pipeline.Section{
		{
			Name: kubernetesKey, Doc: "The cluster that workloads run in.",
			New: func() any { return &kubernetesSection{} },
		},
		{
			Name: redisKey, Doc: "The Redis that holds the feature flags.",
			New: func() any { return &redisSection{} },
		},
	}
}
