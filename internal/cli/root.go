package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/cobra"
)

// root returns the command with all others below it.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "headgate",
		Short: "Deliver software step by step from inside a CI job",
		Long: `Headgate runs a pipeline file: it tests, builds, rolls out step by step, asks
Prometheus at every step whether users are still well, and puts everything
back by itself when they are not.

Exit codes:
    0  delivered
    1  failed before anything was changed
    2  wrong file or usage
    3  failed and rolled back
    4  rollback incomplete, a person is needed
    5  delivered, not finished; running again completes it
    6  locked by another run, or something newer is live
    7  unfinished run found, and the policy says stop
   10  plan --exit-code: there are changes
  130  cancelled by SIGINT and made safe
  143  cancelled by SIGTERM and made safe`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := a.fromEnvironment(cmd, args); err != nil {
				return err
			}
			return oneOf("color", a.color, "auto", "always", "never")
		},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetIn(a.In)
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "`when` to use colours: auto, always or never")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("see "+cmd.CommandPath()+" --help", "%w", err)
	})
	root.SetHelpCommand(helpCommand())
	root.SetUsageFunc(usage)
	root.AddCommand(
		a.demoCommand(), a.validateCommand(), a.importCommand(), a.planCommand(), a.runCommand(),
		a.recoverCommand(), a.rollbackCommand(), a.statusCommand(), a.reportCommand(),
		a.schemaCommand(), a.versionCommand(), a.completionCommand(),
	)
	cobra.EnableCommandSorting = false
	complete(root)
	showTwins(root)
	return root
}

// helpCommand is the other way to say --help.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help for a command", Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(cmd.Root(), args)
			}
			return about.Help()
		},
	}
}

// noCommand refuses what is not a command, and names the nearest one.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see headgate --help"
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	if near := source.Nearest(args[0], known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return usagef(hint, "unknown command %q", args[0])
}

// atMost refuses further arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("see "+cmd.CommandPath()+" --help", "unexpected argument %q", args[n])
		}
		return nil
	}
}

// oneOf refuses a flag's value that is not among those known.
func oneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	hint := ""
	if near := source.Nearest(value, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return usagef(hint, "--%s is %q, and must be one of %s", flag, value, strings.Join(known, ", "))
}
