package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageWidth is where the descriptions of flags are broken.
const usageWidth = 100

// usage prints how a command is used. It is written out, since a template
// would cost a third of the binary: text/template calls methods by name, and
// a program that can do so keeps every method of everything in it.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s", cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n  headgate COMMAND [flags]\n\nCommands:")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "\n  %-*s %s", c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	if cmd.HasExample() {
		b.WriteString("\n\nExamples:\n" + cmd.Example)
	}
	if cmd.HasAvailableLocalFlags() {
		b.WriteString("\n\nFlags:\n" + flagUsages(cmd.LocalFlags().FlagUsagesWrapped(usageWidth)))
	}
	if cmd.HasAvailableInheritedFlags() {
		b.WriteString("\n\nFlags of all commands:\n" + flagUsages(cmd.InheritedFlags().FlagUsagesWrapped(usageWidth)))
	}
	b.WriteString("\n")
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

func flagUsages(s string) string { return strings.TrimRight(s, " \t\n") }
