package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

// peekTime bounds the reading of a journal.
const peekTime = 30 * time.Second

type statusOptions struct {
	loadOptions
	worldOptions
	json bool
}

func (a *app) statusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [FILE]",
		Short: "Show the latest run of a pipeline, from its journal",
		Long: `Reads the journal of the pipeline's latest run, without taking the lock, and
shows how far it came, what is live and what a rollback would put back.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(args); err != nil {
				return err
			}
			return a.status(cmd.Context(), o)
		},
	}
	o.loadOptions.register(cmd.Flags())
	o.registerPipeline(cmd.Flags())
	o.worldOptions.register(cmd.Flags())
	cmd.Flags().BoolVar(&o.json, "json", false, "print the state as JSON")
	return cmd
}

func (a *app) status(ctx context.Context, o statusOptions) error {
	events, err := a.peek(ctx, o.loadOptions, o.worldOptions)
	if err != nil {
		return err
	}
	state, err := pipeline.Replay(events)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(newStatusView(state))
	}
	return writeStatus(a.Out, newStatusView(state))
}

// peek reads the journal of a pipeline's latest run.
func (a *app) peek(ctx context.Context, load loadOptions, world worldOptions) ([]pipeline.Event, error) {
	l, err := a.loadFor(load, world)
	if err != nil {
		return nil, err
	}
	defer l.wire.close()
	store, err := l.wire.store(l.pipeline, world)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, peekTime)
	defer cancel()
	events, err := store.Peek(ctx)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return events, nil
}

func (a *app) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err = fmt.Fprintf(a.Out, "%s\n", b)
	return err
}

// statusView is a state as people and machines are shown it.
type statusView struct {
	Run        *pipeline.Info   `json:"run,omitempty"`
	Phase      string           `json:"phase"`
	Unfinished bool             `json:"unfinished"`
	Committed  bool             `json:"committed"`
	Reason     string           `json:"reason,omitempty"`
	Started    *time.Time       `json:"started,omitempty"`
	Updated    *time.Time       `json:"updated,omitempty"`
	Stages     []stageView      `json:"stages,omitempty"`
	Pending    []pipeline.Thing `json:"pending,omitempty"`
}

type stageView struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func newStatusView(s *pipeline.State) statusView {
	if s.Phase == pipeline.NotStarted {
		return statusView{Phase: "none"}
	}
	v := statusView{
		Run: &s.Run, Phase: string(s.Phase), Unfinished: s.Unfinished(), Committed: s.Committed,
		Reason: s.Reason, Started: &s.Started, Updated: &s.Updated,
	}
	for _, st := range s.Stages {
		v.Stages = append(v.Stages, stageView{Name: st.Name, Status: string(st.Status), Reason: st.Reason})
	}
	for _, p := range s.Pending("") {
		v.Pending = append(v.Pending, p.Thing)
	}
	return v
}

func writeStatus(to io.Writer, v statusView) error {
	if v.Run == nil {
		_, err := fmt.Fprintln(to, "no run is in the journal: none has changed anything yet")
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", name, value)
		}
	}
	row("run", v.Run.ID)
	row("pipeline", v.Run.Pipeline)
	row("commit", v.Run.Commit)
	row("link", v.Run.URL)
	row("started", v.Started.Format(time.RFC3339))
	row("last entry", v.Updated.Format(time.RFC3339))
	phase := v.Phase
	if v.Committed {
		phase += ", committed"
	}
	if v.Unfinished {
		phase += ", unfinished: headgate recover does what it needs"
	}
	row("phase", phase)
	row("reason", v.Reason)
	for _, s := range v.Stages {
		reason := ""
		if s.Reason != "" {
			reason = ": " + s.Reason
		}
		fmt.Fprintf(w, "stage %s:\t%s%s\n", s.Name, s.Status, reason)
	}
	for _, t := range v.Pending {
		fmt.Fprintf(w, "to put back:\t%s\n", t)
	}
	return w.Flush()
}
