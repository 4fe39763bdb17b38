package flags_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/flags"
)

func TestParseRecordRefuses(t *testing.T) {
	for _, tt := range []struct{ name, record, want string }{
		{"nothing", ``, "the record is not a JSON object"},
		{"list", `[]`, "the record is not a JSON object"},
		{"no UTF-8", "{\"\xff\":1}", "the record is not valid UTF-8"},
		{"torn", `{"enabled":true`, "the record is not valid JSON"},
		{"more", `{"enabled":true,"rollout_percentage":1} {}`, "there is something after the record"},
		{"twice", `{"enabled":true,"enabled":false,"rollout_percentage":1}`, `the field "enabled" is there twice`},
		{"no enabled", `{"rollout_percentage":1}`, "the record has no enabled"},
		{"no percentage", `{"enabled":true}`, "the record has no rollout_percentage"},
		{"case counts", `{"Enabled":true,"rollout_percentage":1}`, "the record has no enabled"},
		{"null enabled", `{"enabled":null,"rollout_percentage":1}`, "read enabled: expected true or false"},
		{"number for truth", `{"enabled":1,"rollout_percentage":1}`, "read enabled: expected true or false"},
		{"text for number", `{"enabled":true,"rollout_percentage":"5"}`, "read rollout_percentage: expected a number"},
		{"below 0", `{"enabled":true,"rollout_percentage":-1}`, "read rollout_percentage: -1 is not within 0 and 100"},
		{"above 100", `{"enabled":true,"rollout_percentage":100.001}`, "read rollout_percentage: 100.001 is not within 0 and 100"},
		{"too fine", `{"enabled":true,"rollout_percentage":0.0005}`, "read rollout_percentage: 0.0005 has more than three decimals"},
		{"user is a number", `{"enabled":true,"rollout_percentage":1,"target_users":[1]}`, "read target_users: expected a list of texts"},
		{"attribute is an object", `{"enabled":true,"rollout_percentage":1,"target_attributes":{"a":{}}}`, "read target_attributes: attribute a: expected a text, a number, true, false, or a list of these"},
		{"newer schema", `{"enabled":true,"rollout_percentage":1,"schema":2}`, "read schema: 2 is newer than 1, which this version understands"},
		{"negative version", `{"enabled":true,"rollout_percentage":1,"version":-1}`, "read version: -1 is below 0"},
		{"huge", `{"enabled":true,"rollout_percentage":1,"x":"` + strings.Repeat("x", flags.MaxRecord) + `"}`, "the record is larger than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flags.ParseRecord("f", []byte(tt.record))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "new_profile_format", "A.b-9"} {
		if err := flags.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", "a{b}", "ü", "a:b", "a\n", strings.Repeat("a", 129)} {
		if flags.CheckName(name) == nil {
			t.Errorf("%q: got no error", name)
		}
	}
}

func TestRecordKeepsWhatItDoesNotKnow(t *testing.T) {
	const text = `{"note": "<b>", "enabled": false, "big": 12345678901234567890, "rollout_percentage": 5, "target_users": [ "x" ], "nested": {"a":  [1]}}`
	r, err := flags.ParseRecord("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Enabled, r.Percentage = true, 12.5
	got, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"note":"<b>","enabled":true,"big":12345678901234567890,"rollout_percentage":12.5,"target_users":[ "x" ],"nested":{"a":  [1]}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSameMeaning(t *testing.T) {
	read := func(text string) flags.Record {
		r, err := flags.ParseRecord("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a := read(`{"enabled":true,"rollout_percentage":5,"x":{"a":1,"b":2},"version":1,"updated_at":"1"}`)
	if b := read(`{"x": {"b":2, "a":1}, "updated_at":"2", "version":9, "enabled":true,"rollout_percentage":5}`); !a.SameMeaning(b) {
		t.Error("got a difference between equals")
	}
	if b := read(`{"enabled":true,"rollout_percentage":5,"x":{"a":1,"b":3},"version":1}`); a.SameMeaning(b) {
		t.Error("a field that is not known does not count")
	}
}

func TestNewRecordHasTheFieldsOfEveryReader(t *testing.T) {
	r := flags.Record{Name: "f", Enabled: true, Percentage: 50, Attributes: map[string][]flags.Value{
		"plan": {flags.Text("pro")}, "age": {flags.Number(1), flags.Number(2)}, "beta": {flags.Truth(true)},
	}}
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "enabled", "rollout_percentage", "target_users", "target_attributes", "created_at", "updated_at"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s has no %s", text, name)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("got further fields %v", fields)
	}
	if !strings.Contains(string(text), `"target_attributes":{"age":[1,2],"beta":true,"plan":"pro"}`) {
		t.Errorf("got %s", text)
	}
}

// Whatever can be read can be written, and then reads the same.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"name":"f","enabled":true,"rollout_percentage":12.5,"target_users":["a"],"target_attributes":{"c":["FR",1,true]},"version":3,"salt":"s","x":{}}`))
	f.Add([]byte(`{"enabled":true,"rollout_percentage":1e1}`))
	f.Add([]byte(`{"enabled":true,"rollout_percentage":1,"\u0065":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := flags.ParseRecord("f", text)
		if err != nil {
			return
		}
		r.On(flags.User("u").With("c", "FR"))
		out, err := r.MarshalJSON()
		if err != nil {
			if len(text) > flags.MaxRecord/2 { // escaping may make it longer
				return
			}
			t.Fatalf("write %q: %v", text, err)
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", text, out)
		}
		again, err := flags.ParseRecord("f", out)
		if err != nil {
			t.Fatalf("read %q again: %v", out, err)
		}
		if again.Enabled != r.Enabled || again.Percentage != r.Percentage || again.Version != r.Version || again.Salt != r.Salt || len(again.Users) != len(r.Users) || len(again.Attributes) != len(r.Attributes) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}
