package cli

import (
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// complete tells shells what the flags of all commands take.
func complete(root *cobra.Command) {
	colors := []string{"auto", "always", "never"}
	fixed := map[string][]string{
		"journal":       {"auto", "cluster", "file", "memory"},
		"on-unfinished": {pipeline.PolicyResume, pipeline.PolicyRollback, pipeline.PolicyStop},
		"report":        formats,
		"var":           nil,
		"run-id":        nil,
		"namespace":     nil,
		"context":       nil,
	}
	// The only error is that there is no such flag.
	offer := func(cmd *cobra.Command, flag string, values []string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	offer(root, "color", colors)
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if values, ok := fixed[f.Name]; ok {
				offer(cmd, f.Name, values)
			}
			if f.Name == "from" || f.Name == "until" {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, stageNames)
			}
		})
	}
}

// stageNames are those of the file that the command line names; none where it
// has mistakes.
func stageNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var o loadOptions
	o.file, _ = cmd.Flags().GetString("file")
	if o.take(args) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, err := readFile(o.file)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	p, _ := newWiring().grammar().Parse(file, nil)
	if p == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, st := range p.Stages {
		names = append(names, st.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		Short:   "Print the completion script of a shell",
		Example: "  source <(headgate completion bash)",
		Args:    atMost(1), ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return usagef("such as headgate completion bash", "which shell? one of %s", strings.Join(shells, ", "))
			}
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Out)
			}
			return usagef("name one of "+strings.Join(shells, ", "), "there is no completion for %q", args[0])
		},
	}
}
