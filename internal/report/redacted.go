package report

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/headgate-dev/headgate/internal/redact"
	"github.com/headgate-dev/headgate/pipeline"
)

// Redacted returns a sink that masks secrets in everything that people read
// of an event before it hands it on. Reporters escape text in many ways; a
// secret has to be gone before that.
func Redacted(to pipeline.Sink, r *redact.Redactor) pipeline.Sink { return redacted{to: to, r: r} }

type redacted struct {
	to pipeline.Sink
	r  *redact.Redactor
}

// Handle masks a copy of e; the event itself is shared with other sinks.
func (s redacted) Handle(e pipeline.Event) {
	mask := s.r.String
	e.Stage, e.Name, e.Track = mask(e.Stage), mask(e.Name), mask(e.Track)
	e.Reason, e.Message = mask(e.Reason), mask(e.Message)
	if e.Change != nil {
		c := *e.Change
		c.Thing.Kind, c.Thing.Name, c.Key = mask(c.Thing.Kind), mask(c.Thing.Name), mask(c.Key)
		c.Was, c.To = s.raw(c.Was), s.raw(c.To)
		e.Change = &c
	}
	if e.Outputs != nil {
		outputs := make(map[string]string, len(e.Outputs))
		for k, v := range e.Outputs {
			outputs[mask(k)] = mask(v)
		}
		e.Outputs = outputs
	}
	if e.Verdict != nil {
		e.Verdict = s.verdict(*e.Verdict)
	}
	if e.Run != nil {
		run := *e.Run
		run.ID, run.Pipeline, run.Number = mask(run.ID), mask(run.Pipeline), mask(run.Number)
		run.Commit, run.Branch, run.URL = mask(run.Commit), mask(run.Branch), mask(run.URL)
		e.Run = &run
	}
	if e.Result != nil {
		result := *e.Result
		result.Stage, result.Reason, result.Hint, result.Err = mask(result.Stage), mask(result.Reason), mask(result.Hint), nil
		result.Findings = slices.Clone(result.Findings)
		for i := range result.Findings {
			f := &result.Findings[i]
			f.Message, f.Hint = mask(f.Message), mask(f.Hint)
		}
		e.Result = &result
	}
	s.to.Handle(e)
}

func (s redacted) verdict(v pipeline.Verdict) *pipeline.Verdict {
	v.Gate, v.Reason = s.r.String(v.Gate), s.r.String(v.Reason)
	evidence := make([]pipeline.Measurement, len(v.Evidence))
	for i, m := range v.Evidence {
		m.Check, m.Query, m.Bound = s.r.String(m.Check), s.r.String(m.Query), s.r.String(m.Bound)
		m.Result, m.Reason = s.r.String(m.Result), s.r.String(m.Reason)
		evidence[i] = m
	}
	v.Evidence = evidence
	return &v
}

// raw masks the strings inside a JSON value; masking its text could join what
// belongs to two values.
func (s redacted) raw(b json.RawMessage) json.RawMessage {
	if len(b) == 0 {
		return b
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a float64 would change large numbers
	if dec.Decode(&v) != nil {
		return json.RawMessage(`"` + redact.Mask + `"`)
	}
	masked, err := json.Marshal(s.value(v))
	if err != nil {
		return json.RawMessage(`"` + redact.Mask + `"`)
	}
	return masked
}

func (s redacted) value(v any) any {
	switch v := v.(type) {
	case string:
		return s.r.String(v)
	case []any:
		for i := range v {
			v[i] = s.value(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = s.value(v[k])
		}
	}
	return v
}
