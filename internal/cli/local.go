package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/pflag"
)

// localQuery bounds one question to the Prometheus in this process.
const localQuery = 10 * time.Second

// localRunOptions are the flags of runs with --local.
type localRunOptions struct{ stay bool }

func (o *localRunOptions) register(f *pflag.FlagSet, world *worldOptions) {
	f.BoolVar(&world.fresh, "fresh", false, "begin a local run in an empty world; what earlier ones have left, an unfinished run too, is thrown away")
	f.BoolVar(&o.stay, "stay", false, "leave everything up after a local run, to look at it, until Ctrl-C")
}

// check refuses flags that need another one.
func (o *localRunOptions) check(world worldOptions) error {
	for flag, set := range map[string]bool{"fresh": world.fresh, "stay": o.stay} {
		if set && !world.local {
			return usagef("add --local", "--%s is for runs with --local", flag)
		}
	}
	return nil
}

// withoutSections makes a pipeline need no secret that only the sections name
// which --local does not use.
func withoutSections(p *pipeline.Pipeline) {
	p.Secrets = p.SecretsWithout(replacedSections()...)
}

func replacedSections() []string { return []string{"prometheus", redisKey, kubernetesKey} }

// localKinds reports stages that local runs do not know.
func localKinds(p *pipeline.Pipeline) error {
	var all source.Problems
	for _, st := range p.Stages {
		if st.Kind == "argoRollout" {
			message := fmt.Sprintf("stage %q is of the kind argoRollout, which cannot be run with --local", st.Name)
			hint := "it is Argo's controller that brings a Rollout up and splits its traffic, and there is none without a cluster; the other kinds can be run"
			all = append(all, source.Problem{Message: message, Hint: hint}.In(p.File, st.Pos))
		}
	}
	if len(all) > 0 {
		return &fileError{file: p.File, problems: all}
	}
	return nil
}

// localNote says what a local run is, and where to look.
func localNote(service, prometheus, redis string) string {
	return fmt.Sprintf("local run, with processes of this machine and no cluster: not a production target\nservice %s, Prometheus %s, Redis %s", service, prometheus, redis)
}

// staying keeps a world up until the process is told to end.
func (a *app) staying(ctx context.Context, w *wiring) {
	if ctx.Err() != nil || w.world == nil {
		return
	}
	a.errorLine("note", fmt.Sprintf("everything stays up until Ctrl-C\nservice %s, Prometheus %s, Redis %s", w.world.ProxyURL(), w.world.PrometheusURL(), w.world.RedisURL()))
	<-ctx.Done()
}

// loadFor reads a pipeline file for the world that it is to work on.
func (a *app) loadFor(o loadOptions, w worldOptions) (*loaded, error) {
	o.local = w.local
	if o.local && o.pipeline != "" {
		return nil, usagef("name the file", "--local needs the pipeline's file, beside which its world is kept")
	}
	l, err := a.load(o)
	if err == nil && o.local {
		withoutSections(l.pipeline)
	}
	return l, err
}
