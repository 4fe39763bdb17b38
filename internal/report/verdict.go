package report

import (
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
)

func (t *teller) judged(e pipeline.Event) []line {
	if e.Verdict == nil {
		return nil
	}
	v, key := e.Verdict, e.Stage+"\x00"+e.Verdict.Gate
	said, ok := t.said[key]
	if ok && said.outcome == v.Outcome && e.Time.Sub(said.at) < repeatVerdict {
		return nil
	}
	t.said[key] = saidVerdict{outcome: v.Outcome, at: e.Time}
	text, tone := verdict(*v)
	lines := t.about(e, tone, "gate "+clean(v.Gate)+": "+text)
	if v.Outcome != pipeline.Fail && !t.verbose {
		return lines
	}
	for _, m := range v.Evidence {
		if m.Outcome == pipeline.Pass && !t.verbose {
			continue
		}
		lines = append(lines, line{text: measurement(m), tone: quiet, under: true})
		if m.Query != "" {
			lines = append(lines, line{text: "asked " + clean(m.Query), tone: quiet, under: true})
		}
	}
	return lines
}

// measurement says in one line what a check found.
func measurement(m pipeline.Measurement) string {
	text := m.Outcome.String() + " " + clean(m.Check)
	if m.Value != nil {
		text += " " + quantity(*m.Value, clean(m.Unit))
	} else {
		text += prefix(" ", clean(m.Result))
	}
	var more []string
	if m.Bound != "" {
		more = append(more, clean(m.Bound))
	}
	if m.Samples != nil {
		more = append(more, number(*m.Samples)+" samples")
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text + prefix(": ", clean(m.Reason))
}

// tooEarly is the result of a check whose window is not there yet.
const tooEarly = "tooEarly"

// verdict says in one line how a gate judged. A track that is too young to be
// judged is nothing to worry about.
func verdict(v pipeline.Verdict) (string, tone) {
	word, tone := v.Outcome.String(), outcomeTone(v.Outcome)
	if v.Outcome != pipeline.Inconclusive {
		return word + prefix(": ", clean(v.Reason)), tone
	}
	if early(v) {
		word, tone = word+", too early", quiet
	}
	return word + prefix(": ", clean(gathered(v))), tone
}

// early reports whether age alone keeps a gate from judging.
func early(v pipeline.Verdict) bool {
	found := false
	for _, m := range v.Evidence {
		switch {
		case m.Outcome == pipeline.Pass:
		case m.Result == tooEarly:
			found = true
		default:
			return false
		}
	}
	return found
}

// gathered is the reason of a verdict, where what several checks say alike is
// said once.
func gathered(v pipeline.Verdict) string {
	var said, reasons []string
	checks := map[string][]string{}
	for _, m := range v.Evidence {
		if m.Outcome == pipeline.Pass {
			continue
		}
		said = append(said, m.Check+": "+m.Reason)
		if !slices.Contains(reasons, m.Reason) {
			reasons = append(reasons, m.Reason)
		}
		checks[m.Reason] = append(checks[m.Reason], m.Check)
	}
	if v.Reason != strings.Join(said, "; ") {
		return v.Reason
	}
	for i, r := range reasons {
		if len(said) > 1 && len(reasons) == 1 {
			return r
		}
		reasons[i] = strings.Join(checks[r], ", ") + ": " + r
	}
	return strings.Join(reasons, "; ")
}
