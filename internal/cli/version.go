package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Build says what this binary was made from. What is "" was not built in.
type Build struct {
	Version string // 1.2.3, a v in front is dropped
	Commit  string
	Date    string // the commit's, as RFC 3339 has it
}

// about is what `headgate version --json` prints.
type about struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version, the commit that it was built from and that commit's date
where they are known, the version of Go, and the platform.`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			return a.version(aboutBinary(a.Build), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func (a *app) version(v about, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encode version: %w", err)
		}
		_, err = fmt.Fprintf(a.Out, "%s\n", b)
		return err
	}
	var known []string
	if v.Commit != "" {
		known = append(known, "commit "+v.Commit)
	}
	if v.Date != "" {
		known = append(known, v.Date)
	}
	known = append(known, v.Go, v.Platform)
	_, err := fmt.Fprintf(a.Out, "headgate %s (%s)\n", v.Version, strings.Join(known, ", "))
	return err
}

// aboutBinary completes what was built in by what the Go toolchain recorded,
// which a module installed by `go install` and a build in a work tree have.
func aboutBinary(b Build) about {
	v := about{
		Version: b.Version, Commit: b.Commit, Date: b.Date,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.complete(info)
	}
	if v.Version == "" {
		v.Version = "dev"
	}
	if rest, ok := strings.CutPrefix(v.Version, "v"); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		v.Version = rest
	}
	return v
}

// complete fills in what is not known yet. Commit and date go together: a
// commit that was built in does not get the date of another.
func (v *about) complete(info *debug.BuildInfo) {
	if v.Version == "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	if v.Commit != "" || v.Date != "" {
		return
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		}
	}
}
