package report

import (
	"slices"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// account is the fold of a run's events that summaries are made from.
type account struct {
	o              Options
	run            pipeline.Info
	resumed        int
	started, ended time.Time
	stages         []*stageAccount
	traffic        []trafficAccount
	gates          []*gateAccount
	evidence       []note
	warnings       []note
	undone         []string
	result         *pipeline.Result
	way            way
}

type stageAccount struct {
	name           string
	status         pipeline.EventType
	started, ended time.Time
	reason         string
	outputs        map[string]string
	// waiting is what it waits for, nil when nothing is known of that.
	waiting *waitAccount
	// output is what its commands printed last; it is dropped when it passes.
	output tail
}

type trafficAccount struct {
	at                  time.Duration
	stage, route, track string
	weight              *float64
}

type gateAccount struct {
	stage  string
	looks  int
	last   pipeline.Verdict
	at     time.Time
	checks []*checkAccount
}

type note struct{ stage, text string }

func newAccount(o Options) *account { return &account{o: o, run: o.Run} }

// add takes e into account. Events may begin anywhere and be of a run that
// several processes had a part in.
func (a *account) add(e pipeline.Event) {
	if a.started.IsZero() {
		a.started = e.Time
	}
	a.ended = e.Time
	a.follow(e)
	switch e.Type {
	case pipeline.RunStarted, pipeline.RunResumed:
		if e.Run != nil {
			a.run = *e.Run
		}
		if e.Type == pipeline.RunResumed {
			a.resumed++
		}
	case pipeline.StageStarted, pipeline.StagePassed, pipeline.StageFailed, pipeline.StageSkipped:
		a.addStage(e)
	case pipeline.RolledBack:
		if e.Stage != "" {
			a.stage(e.Stage).status = e.Type
		}
	case pipeline.TrafficShifted:
		a.traffic = append(a.traffic, trafficAccount{at: e.Time.Sub(a.started), stage: e.Stage, route: e.Name, track: e.Track, weight: e.Weight})
	case pipeline.Judged:
		a.addVerdict(e)
	case pipeline.EvidenceFound:
		a.evidence = append(a.evidence, note{e.Stage, e.Message})
	case pipeline.Warned:
		a.warnings = append(a.warnings, note{e.Stage, warning(e)})
	case pipeline.Undone:
		if e.Change != nil {
			a.undone = append(a.undone, e.Change.Thing.String())
			a.wayBack(e)
		}
	case pipeline.RunEnded:
		a.result = e.Result
	default: // says nothing to a summary
	}
}

// wayBack adds to the traffic that a route is as it was before the run.
func (a *account) wayBack(e pipeline.Event) {
	if e.Change.Thing.Kind != routeKind {
		return
	}
	for _, last := range slices.Backward(a.traffic) {
		if last.route != e.Change.Thing.Name {
			continue
		}
		if last.weight == nil || *last.weight > 0 {
			last.at, last.weight = e.Time.Sub(a.started), new(float64)
			a.traffic = append(a.traffic, last)
		}
		return
	}
}

func (a *account) addStage(e pipeline.Event) {
	s := a.stage(e.Stage)
	s.status = e.Type
	if e.Type == pipeline.StageStarted {
		if s.started.IsZero() {
			s.started = e.Time
		}
		return
	}
	s.ended, s.reason = e.Time, e.Reason
	if e.Outputs != nil {
		s.outputs = e.Outputs
	}
}

func (a *account) stage(name string) *stageAccount {
	for _, s := range a.stages {
		if s.name == name {
			return s
		}
	}
	s := &stageAccount{name: name}
	a.stages = append(a.stages, s)
	return s
}

func (a *account) addVerdict(e pipeline.Event) {
	if e.Verdict == nil {
		return
	}
	for _, g := range a.gates {
		if g.stage == e.Stage && g.last.Gate == e.Verdict.Gate {
			g.look(e)
			return
		}
	}
	g := &gateAccount{stage: e.Stage}
	g.look(e)
	a.gates = append(a.gates, g)
}

// outputs returns the outputs of all stages that have some.
func (a *account) outputs() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, s := range a.stages {
		if len(s.outputs) > 0 {
			all[s.name] = s.outputs
		}
	}
	return all
}
