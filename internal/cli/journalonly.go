package cli

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/pflag"
)

// redisEnv names the variable with the address of Redis where there is no
// file that says it.
const redisEnv = "HEADGATE_REDIS"

// registerPipeline adds the flag for working without a file, on a journal
// alone.
func (o *loadOptions) registerPipeline(f *pflag.FlagSet) {
	f.StringVar(&o.pipeline, "pipeline", "", "`name` of the pipeline, where its file is not at hand: the journal alone is used, in the cluster and namespace of the other flags; flags are put back in the Redis that "+redisEnv+" is the URL of")
}

var pipelineName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) })

// source reads the pipeline file, or makes one that says no more than where
// the journal and what it speaks of are.
func (a *app) source(o loadOptions) (source.File, error) {
	if o.pipeline == "" {
		return readFile(o.file)
	}
	if !pipelineName().MatchString(o.pipeline) {
		return source.File{}, usagef("it is the name: of its file", "--pipeline %q cannot be the name of a pipeline", o.pipeline)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %q\nkubernetes: {}\nstages: [{name: none, commit: {}}]\n", o.pipeline)
	if a.Getenv(redisEnv) != "" {
		fmt.Fprintf(&b, "secrets: {redis: {env: %s}}\nredis: {url: \"${{ secrets.redis }}\"}\n", redisEnv)
	}
	return source.File{Name: "journal of " + o.pipeline, Data: []byte(b.String())}, nil
}
