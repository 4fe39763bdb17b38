package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envPrefix begins the names of variables that stand for flags.
const envPrefix = "HEADGATE_"

// envName is the variable that stands for a flag: HEADGATE_RUN_ID for
// --run-id.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment gives every flag that is not on the command line the value
// of its variable. A flag that can be given several times takes one value
// from each line. A file among args is stronger than HEADGATE_FILE.
func (a *app) fromEnvironment(cmd *cobra.Command, args []string) error {
	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := a.LookupEnv(envName(f.Name))
		if f.Name == "file" && len(args) > 0 {
			return
		}
		if f.Changed || !ok || value == "" || wrong != nil || !hasTwin(f) {
			return
		}
		values := []string{value}
		if _, many := f.Value.(pflag.SliceValue); many {
			values = strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		for _, v := range values {
			if strings.TrimSpace(v) == "" {
				continue
			}
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				wrong = usagef("", "invalid value of %s: %w", envName(f.Name), err)
			}
		}
	})
	return wrong
}

func hasTwin(f *pflag.Flag) bool { return f.Name != "help" }

// showTwins adds the variables to the flags' help.
func showTwins(cmd *cobra.Command) {
	add := func(f *pflag.Flag) {
		twin := fmt.Sprintf(" [%s]", envName(f.Name))
		if hasTwin(f) && !strings.HasSuffix(f.Usage, twin) {
			f.Usage += twin
		}
	}
	cmd.PersistentFlags().VisitAll(add)
	cmd.Flags().VisitAll(add)
	for _, c := range cmd.Commands() {
		showTwins(c)
	}
}

// environment is what `env` holds in expressions.
func (a *app) environment() map[string]string {
	all := map[string]string{}
	for _, pair := range a.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			all[name] = value
		}
	}
	return all
}
