package cli

import "github.com/spf13/cobra"

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Long: `Prints the JSON Schema of pipeline files. An editor uses it when the file
begins with

    # yaml-language-server: $schema=./headgate.schema.json`,
		Example: "  headgate schema > headgate.schema.json",
		Args:    atMost(0),
		RunE: func(*cobra.Command, []string) error {
			return a.printJSON(newWiring().grammar().Schema())
		},
	}
}
