package source_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline/source"
)

func TestNearest(t *testing.T) {
	known := []string{"canary", "blueGreen", "gate", "flag", "test", "setWeight", "pause"}
	for word, want := range map[string]string{
		"canry": "canary", "cnaary": "canary", "Canary": "canary", "blue-green": "blueGreen", "blue_green": "blueGreen",
		"set_wieght": "setWeight", "gat": "gate", "gates": "gate", "x": "", "deploy": "", "": "", "tset": "test",
		"canary": "", "zzzzzzzzzzzzzzzzzzzzz": "", strings.Repeat("canary", 100): "",
	} {
		if got := source.Nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	if got, want := source.Suggest("x", nil, "gates"), "there are no gates"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// address is a scalar of another package.
type address struct {
	Addr netip.Addr
	Pos  source.Pos
}

func (a *address) UnmarshalScalar(text string) error {
	v, err := netip.ParseAddr(text)
	if err != nil {
		return &source.Mistake{Message: "not an address", What: "write 127.0.0.1"}
	}
	a.Addr = v
	return nil
}
func (a *address) Expectation() string    { return "an address" }
func (a *address) Schema() map[string]any { return map[string]any{"type": "string", "format": "ipv4"} }

func TestScalarsOfOtherPackages(t *testing.T) {
	type file struct {
		To    address                       `yaml:"to" required:"true" default:"::1" doc:"Where to."`
		More  []*address                    `yaml:"more" max:"2"`
		Share source.Percent                `yaml:"share" bare:"true" max:"150%"`
		Bits  source.Map[*address]          `yaml:"bits"`
		Late  source.Node                   `yaml:"late"`
		Some  source.Map[source.Map[file2]] `yaml:"some"`
	}
	var got file
	f := source.File{Name: "f", Data: []byte("to: 10.0.0.1\nmore: [10.0.0.2, 10.0.0.3]\nshare: 20\nlate: {a: [1, x], b: ~}\n")}
	if problems := source.Decode(f, &got, source.Options{}); len(problems) > 0 {
		t.Fatal(problems.Render(f))
	}
	if got.To.Addr != netip.MustParseAddr("10.0.0.1") || got.To.Pos != (source.Pos{Line: 1, Col: 5}) || len(got.More) != 2 || got.Share.Value != 20 {
		t.Errorf("got %+v", got)
	}
	entries := got.Late.Entries()
	if len(entries) != 2 || entries[0].Key.Value != "a" || len(entries[0].Value.Items()) != 2 || entries[0].Value.Entries() != nil {
		t.Fatalf("got %+v", entries)
	}
	if text, ok := entries[0].Value.Items()[1].Text(); text != "x" || !ok {
		t.Errorf("got %q, %v", text, ok)
	}
	if text, ok := entries[1].Value.Text(); text != "" || ok {
		t.Errorf("got %q, %v", text, ok)
	}
	var word source.Int
	problems := entries[0].Value.Items()[1].Decode(&word, source.Options{Path: "late.a"})
	if want := `f:4:15: late.a: expected a whole number, found "x"`; problems.Error() != want {
		t.Errorf("got %s, want %s", problems.Error(), want)
	}
	f.Data = []byte("to: nowhere\nmore: [a, b, c]\nshare: 200%\n")
	problems = source.Decode(f, &got, source.Options{})
	want := "f:1:5: to: not an address\nf:2:1: more has too many entries: 3\nf:2:8: more[0]: not an address\n" +
		"f:2:11: more[1]: not an address\nf:2:14: more[2]: not an address\nf:3:8: share: 200% is out of range"
	if problems.Error() != want || problems[0].Hint != "write 127.0.0.1" {
		t.Errorf("got\n%s\nwant\n%s", problems.Error(), want)
	}
}

type file2 struct {
	A source.String `yaml:"a"`
}

func TestProblemsAreSortedAndInTheFile(t *testing.T) {
	ps := source.Problems{
		{File: "b", Pos: source.Pos{Line: 1, Col: 1}, Message: "x", Warning: true},
		{File: "a", Pos: source.Pos{Line: 2, Col: 3}, Message: "z"},
		{File: "a", Pos: source.Pos{Line: 2, Col: 3}, Message: "z", Hint: "again"},
		{File: "a", Message: "y"},
	}.Sorted()
	if got, want := ps.Error(), "a: y\na:2:3: z\nb:1:1: x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !ps.HasErrors() || ps.Err() == nil || ps[2:].HasErrors() || ps[2:].Err() != nil {
		t.Error("warnings and errors are mixed up")
	}
	var all source.Problems
	if !errors.As(ps.Err(), &all) || len(all) != 3 {
		t.Errorf("got %v", all)
	}
	f := source.File{Name: "f", Data: []byte("abc\nde")}
	for _, c := range []struct{ in, want source.Problem }{
		{source.Problem{}, source.Problem{File: "f", Pos: source.Pos{Line: 2, Col: 1}, Width: 1}},
		{source.Problem{Pos: source.Pos{Line: 9, Col: 9}, Width: 9}, source.Problem{File: "f", Pos: source.Pos{Line: 2, Col: 2}, Width: 1}},
		{source.Problem{Pos: source.Pos{Line: 1, Col: 2}, Width: 2}, source.Problem{File: "f", Pos: source.Pos{Line: 1, Col: 2}, Width: 2}},
	} {
		if diff := cmp.Diff(c.want, c.in.In(f, source.Pos{Line: 2, Col: 1})); diff != "" {
			t.Error(diff)
		}
	}
}

// TestLocatorFindsRunes shows where each rune of a text stands, however the
// text is written.
func TestLocatorFindsRunes(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		pos        source.Pos
		text       string
		rune       string
		want       source.Pos
	}{
		{"plain", "a: b c\n", source.Pos{Line: 1, Col: 4}, "b c", "c", source.Pos{Line: 1, Col: 6}},
		{"plain on two lines", "a: b\n   c\n", source.Pos{Line: 1, Col: 4}, "b c", "c", source.Pos{Line: 2, Col: 4}},
		{"single quotes", "a: 'b''c'\n", source.Pos{Line: 1, Col: 4}, "b'c", "c", source.Pos{Line: 1, Col: 8}},
		{"double quotes", `a: "\u00e9\tc"`, source.Pos{Line: 1, Col: 4}, "é\tc", "c", source.Pos{Line: 1, Col: 13}},
		{"an escape", `a: "b\x63"`, source.Pos{Line: 1, Col: 4}, "bc", "c", source.Pos{Line: 1, Col: 6}},
		{"joined lines", "a: \"b\\\n   c\"", source.Pos{Line: 1, Col: 4}, "bc", "c", source.Pos{Line: 2, Col: 4}},
		{"literal block", "a: |+\n  b\n\n    c\n", source.Pos{Line: 1, Col: 4}, "b\n\n  c\n", "c", source.Pos{Line: 4, Col: 5}},
		{"folded block", "a: >\n  b\n\n  d\n  c\n", source.Pos{Line: 1, Col: 4}, "b\nd c\n", "c", source.Pos{Line: 5, Col: 3}},
		{"another text", "a: xyz\n", source.Pos{Line: 1, Col: 4}, "b c", "c", source.Pos{Line: 1, Col: 4}},
		{"out of the file", "a: xyz\n", source.Pos{Line: 7, Col: 4}, "c", "c", source.Pos{Line: 7, Col: 4}},
	} {
		l := source.NewLocator(source.File{Data: []byte(c.yaml)})
		offset := len([]rune(c.text[:strings.Index(c.text, c.rune)]))
		if got := l.Find(c.pos, c.text, offset); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDurationsAreWrittenAsByPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 30 * time.Second: "30s", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 10*time.Minute + 5*time.Second: "10m5s", 1500 * time.Millisecond: "1.5s",
	} {
		if got := source.FormatDuration(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
		if got := (source.Duration{Value: d}).String(); got != want {
			t.Errorf("Duration %d: got %s, want %s", d, got, want)
		}
	}
}
