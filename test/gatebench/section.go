package gatebench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Goal is something that was wanted, and what there was.
type Goal struct {
	Text string
	Got  string
	Met  bool
}

// Section is one line of the benchmark, with its table.
type Section struct {
	ID, Title, Note string
	Head            []string
	Rows            [][]string
	Goals           []Goal
}

// Line runs one line of the benchmark.
type Line struct {
	ID, Title, Note string
	Run             func(ctx context.Context, runs int) (Section, error)
}

// tabled adds an outcome to the section of its line; tries and rivals are
// columns.
func (s *Section) tabled(o Outcome) {
	row := []string{o.Case.Scenario.Name}
	if len(s.Head) == 0 {
		s.Head = []string{"rollout"}
	}
	cell := func(head, text string) {
		i := slices.Index(s.Head, head)
		if i < 0 {
			i = len(s.Head)
			s.Head = append(s.Head, head)
		}
		for len(row) <= i {
			row = append(row, "")
		}
		row[i] = text
	}
	for i, try := range o.Case.Tries {
		text := o.Ours[i].String()
		if slices.ContainsFunc(try.Wants, func(w Want) bool { return strings.Contains(w.Text, "passed") }) {
			text += fmt.Sprintf(", %d passed", o.Ours[i].Passed)
		}
		cell("**"+try.Setting.Name+"**", text)
	}
	for i, rule := range Rivals() {
		cell(rule.Name, o.Others[i].String())
	}
	s.Rows = append(s.Rows, row)
}

// judged are wants of one text and setting, which are one goal: the worst of
// them counts.
type judged struct {
	text, got string
	miss      float64
	cells     int
}

type judgements []judged

// want notes how a tally stands to what was wanted of it. Wants of the same
// text and name are one goal.
func (j *judgements) want(name, where string, w Want, t Tally) {
	miss, got := w.miss(t)
	text := name + ": " + w.Text
	i := slices.IndexFunc(*j, func(k judged) bool { return k.text == text })
	if i < 0 {
		i = len(*j)
		*j = append(*j, judged{text: text, miss: miss, got: got + ", " + where})
	}
	k := &(*j)[i]
	k.cells++
	if miss > k.miss {
		k.miss, k.got = miss, got+", "+where
	}
}

// goals are those of all that was judged.
func (j judgements) goals() []Goal {
	var out []Goal
	for _, k := range j {
		g := Goal{Text: k.text, Got: k.got, Met: k.miss <= 0}
		if k.cells > 1 {
			g.Text += fmt.Sprintf(", each of %d", k.cells)
			g.Got = "at worst " + g.Got
		}
		out = append(out, g)
	}
	return out
}

// line makes a line of the benchmark of the cases with its name.
func line(id, title, note string) Line {
	return Line{id, title, note, func(ctx context.Context, runs int) (Section, error) {
		s := Section{ID: id, Title: title, Note: note}
		var all judgements
		for _, c := range Cases() {
			if c.ID != id {
				continue
			}
			o, err := c.Run(ctx, runs)
			if err != nil {
				return s, fmt.Errorf("run %s, %s: %w", id, c.Scenario.Name, err)
			}
			s.tabled(o)
			for i, try := range c.Tries {
				for _, w := range try.Wants {
					all.want(try.Setting.Name, c.Scenario.Name, w, o.Ours[i])
				}
			}
		}
		s.Goals = all.goals()
		return s, nil
	}}
}

// Met counts goals.
func Met(sections []Section) (met, all int) {
	for _, s := range sections {
		for _, g := range s.Goals {
			all++
			if g.Met {
				met++
			}
		}
	}
	return met, all
}

// Write prints a section as Markdown.
func (s Section) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s: %s\n\n", s.ID, s.Title)
	if s.Note != "" {
		fmt.Fprintf(&b, "%s\n\n", s.Note)
	}
	if len(s.Rows) > 0 {
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.Head, " | "), strings.Repeat("---|", len(s.Head)))
		for _, r := range s.Rows {
			for len(r) < len(s.Head) {
				r = append(r, "")
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
		}
		b.WriteString("\n")
	}
	for _, g := range s.Goals {
		mark := "met"
		if !g.Met {
			mark = "**missed**"
		}
		fmt.Fprintf(&b, "- %s. %s: %s\n", g.Text, g.Got, mark)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
