package cli

import (
	"strings"

	"github.com/spf13/pflag"
)

// worldOptions say which world a command works on, where it is not what the
// file says.
type worldOptions struct {
	kubeconfig, context, namespace string
	journal                        string
	// local is for the world of local processes, fresh for one that is empty.
	local, fresh bool
	runID        string
	// version is Headgate's own, as the cluster is told.
	version string
}

func (o *worldOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`path` of the kubeconfig file, in place of the file's and of KUBECONFIG")
	f.StringVar(&o.context, "context", "", "`name` of the kubeconfig's context, in place of the file's")
	f.StringVarP(&o.namespace, "namespace", "n", "", "`name` of the namespace of workloads that do not name their own, in place of the file's")
	f.StringVar(&o.journal, "journal", "auto", "`place` of the journal: cluster (beside the workload), file[:FOLDER], memory (lost with the process), or auto: cluster where the file uses one, else file")
	f.BoolVar(&o.local, "local", false, "work with processes of this machine in place of a cluster, and with a Prometheus and a Redis of its own; for trying a pipeline, not for production")
	f.StringVar(&o.runID, "run-id", "", "`id` of the run, in place of the CI's")
}

// journalKind is where a journal is kept, and the folder for files.
func (o *worldOptions) journalKind() (kind, folder string, err error) {
	kind, folder, _ = strings.Cut(o.journal, ":")
	if err := oneOf("journal", kind, "auto", "cluster", "file", "memory"); err != nil {
		return "", "", err
	}
	if folder != "" && kind != "file" {
		return "", "", usagef("", "--journal %s takes no folder", kind)
	}
	return kind, folder, nil
}
