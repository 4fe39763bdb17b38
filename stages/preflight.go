package stages

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// finding makes one of an error, with its hint.
func finding(at source.Pos, err error) pipeline.Finding {
	f := pipeline.Finding{Pos: at, Message: err.Error()}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

// ask puts a check to whatever can answer it.
func ask(ctx context.Context, at source.Pos, who any, check RolloutCheck) []pipeline.Finding {
	checker, ok := who.(Checker)
	if !ok {
		return nil
	}
	findings, err := checker.Check(ctx, check)
	if err != nil {
		findings = append(findings, finding(at, err))
	}
	for i := range findings {
		if !findings[i].Pos.IsValid() {
			findings[i].Pos = at
		}
	}
	return findings
}

// distinct leaves out what is empty or was there before.
func distinct(names []string) []string {
	var out []string
	for _, name := range names {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// preflightProbe sends the probe once, to stable. An address that is none, or
// that answers nobody, would be found out only with users on the canary.
func preflightProbe(ctx context.Context, s *pipeline.Scope, probe source.Template) []pipeline.Finding {
	if !probe.IsSet() {
		return nil
	}
	at := probe.Pos
	address, err := s.Text(probe, nil)
	if errors.Is(err, pipeline.ErrNotYetKnown) {
		return nil
	}
	if err != nil {
		return []pipeline.Finding{finding(at, err)}
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return []pipeline.Finding{{Pos: at, Message: "traffic.probe is no URL", Hint: "write it with http:// or https:// and a host"}}
	}
	if err := probeOnce(ctx, probeClient(), address); err != nil {
		return []pipeline.Finding{{
			Pos: at, Warning: true, Message: fmt.Sprintf("traffic.probe fails already: %s", err),
			Hint: "mend the URL, unless the release is meant to mend the service; a release whose probe fails is put back",
		}}
	}
	return nil
}

// cannotRead says why the workload cannot be read: where it is for want of
// permissions, platform and router name all that are missing.
func (p *Parts) cannotRead(ctx context.Context, at source.Pos, check RolloutCheck, err error) []pipeline.Finding {
	all := []pipeline.Finding{finding(at, err)}
	askers := []any{p.Platform}
	if check.Traffic != nil {
		if router, err := p.Router(*check.Traffic, check.Split); err == nil {
			askers = append(askers, router)
		}
	}
	for _, asked := range askers {
		checker, ok := asked.(Checker)
		if !ok {
			continue
		}
		if found, err := checker.Check(ctx, check); err == nil {
			all = append(all, found...)
		}
	}
	for i := range all {
		if !all[i].Pos.IsValid() {
			all[i].Pos = at
		}
	}
	return all
}

// preflightGates asks the queries of several gates of a track.
func (p *Parts) preflightGates(ctx context.Context, s *pipeline.Scope, names []string, t Track) []pipeline.Finding {
	var all []pipeline.Finding
	for _, name := range names {
		all = append(all, p.preflightGate(ctx, s, name, p.Platform.Selector(t))...)
	}
	return all
}

// preflightGate asks a gate's queries of what is live now.
func (p *Parts) preflightGate(ctx context.Context, s *pipeline.Scope, name, selector string) []pipeline.Finding {
	gate, ok := gates.Of(s.Pipeline(), name)
	if !ok {
		return nil
	}
	providers := p.Gates
	providers.Text = s.Text
	return gate.Preflight(ctx, providers, gates.Target{Track: Stable, Selector: selector}, s.Now())
}

// planGate asks a gate's queries for the values of now.
func (p *Parts) planGate(ctx context.Context, s *pipeline.Scope, name, selector string) []pipeline.Measurement {
	gate, ok := gates.Of(s.Pipeline(), name)
	if !ok {
		return nil
	}
	providers := p.Gates
	providers.Text = s.Text
	return gate.Plan(ctx, providers, gates.Target{Track: Stable, Selector: selector}, s.Now())
}
