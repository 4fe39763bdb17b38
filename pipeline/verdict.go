package pipeline

import "fmt"

// Outcome is what a gate or a check concluded. The zero value is
// Inconclusive: what was not shown to be well does not count as well.
type Outcome int

// The outcomes.
const (
	Inconclusive Outcome = iota
	Pass
	Fail
)

// Outcomes lists all of them.
func Outcomes() []Outcome { return []Outcome{Inconclusive, Pass, Fail} }

// String returns the word that people see.
func (o Outcome) String() string {
	switch o {
	case Inconclusive:
		return "inconclusive"
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	}
	return fmt.Sprintf("outcome(%d)", int(o))
}

// MarshalText writes the word.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the word; an unknown one is an error, not a pass.
func (o *Outcome) UnmarshalText(b []byte) error {
	for _, k := range Outcomes() {
		if k.String() == string(b) {
			*o = k
			return nil
		}
	}
	return fmt.Errorf("unknown outcome %q", b)
}

// Verdict is the answer of a gate: the outcome, why, and what it rests on.
type Verdict struct {
	// Gate names the gate.
	Gate    string  `json:"gate"`
	Outcome Outcome `json:"outcome"`
	// Reason is one sentence.
	Reason string `json:"reason"`
	// Evidence has an entry per check, in the order of the file.
	Evidence []Measurement `json:"evidence,omitempty"`
}

// Measurement is what one look of one check found.
type Measurement struct {
	// Check is the name of the check, such as "errorRate".
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	// Result tells apart value, no data, several series and so on, by the
	// words of package gates.
	Result string `json:"result"`
	// Query is what was asked, as sent.
	Query string `json:"query,omitempty"`
	// Value is what was found; nil where there was none.
	Value *float64 `json:"value,omitempty"`
	// Bound is what it was held against, such as "max 5%".
	Bound string `json:"bound,omitempty"`
	// Max and Min are the bound as numbers in the unit of Value; nil where
	// there is none.
	Max *float64 `json:"max,omitempty"`
	Min *float64 `json:"min,omitempty"`
	// Unit is that of Value, Max and Min: "%", "s" for seconds, or a word of
	// the user's; empty where there is none.
	Unit string `json:"unit,omitempty"`
	// Samples is how many requests or points the value rests on; nil where
	// that is not known.
	Samples *float64 `json:"samples,omitempty"`
	// Reason is one sentence.
	Reason string `json:"reason,omitempty"`
}
