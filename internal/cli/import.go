package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/headgate-dev/headgate/internal/importer"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

type importOptions struct {
	output string
	strict bool
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Make a pipeline file of Argo Rollouts' or Flagger's manifests",
		Long: `Reads manifests of Argo Rollouts (Rollout, AnalysisTemplate) or of Flagger
(Canary, MetricTemplate) and writes a pipeline file that does the same. What
could not be carried over is said in comments at its top and on stderr, each
with its place in the source. It touches nothing else: no cluster, no network.`,
		Example: "  headgate import rollout.yaml analysis.yaml >headgate.yaml\n  headgate import -o headgate.yaml canary.yaml",
		RunE: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the files with a Rollout or a Canary", "no file is named")
			}
			return a.importFiles(o, files)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write the pipeline file to `FILE` in place of stdout; one that is there already is left alone")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "end with exit code 2 when anything could not be carried over")
	return cmd
}

func (a *app) importFiles(o importOptions, files []string) error {
	var inputs []importer.Input
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return usagef("check the path", "read manifests: %v", err)
		}
		inputs = append(inputs, importer.Input{Name: name, Data: data})
	}
	result, err := importer.Import(inputs)
	if err != nil {
		var hinted interface{ Hint() string }
		hint := "mend the manifest; kubectl apply --dry-run=server says more about it"
		if errors.As(err, &hinted) {
			hint = hinted.Hint()
		}
		return usagef(hint, "%v", err)
	}
	if err := a.writeImport(o, result); err != nil {
		return err
	}
	for _, n := range result.Notes {
		kind := "note"
		if n.Lost {
			kind = "not carried over"
		}
		a.errorLine(kind, n.String())
	}
	if o.strict && result.Lost() {
		return end(pipeline.WrongFile)
	}
	return nil
}

func (a *app) writeImport(o importOptions, result importer.Result) error {
	if o.output == "" {
		_, err := a.Out.Write(result.File)
		return err
	}
	f, err := os.OpenFile(o.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usagef("name another file, or remove that one first", "write the pipeline file: %v", err)
	}
	_, err = f.Write(result.File)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the pipeline file: %w", err)
	}
	return nil
}
