package source_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// credentials has groups of all kinds.
type credentials struct {
	User  source.String `yaml:"user" anyof:"who" doc:"Who it is."`
	Group source.String `yaml:"group" anyof:"who" doc:"Of what group."`
	Token source.String `yaml:"token" atmostone:"proof" example:"abc" doc:"A token."`
	Key   source.String `yaml:"key" atmostone:"proof" doc:"A key."`
	Next  *credentials  `yaml:"next" doc:"And then."`
}

type everything struct {
	canary
	Who  []credentials  `yaml:"who" min:"1" doc:"Who may."`
	Bare source.Percent `yaml:"bare" bare:"true" min:"1%" max:"50%" default:"20%" doc:"A share."`
	Gate gate           `yaml:"judge" default:"slo" doc:"By a default in short form."`
}

func TestSchemaHasAllThatIsDeclared(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	opt := source.Options{Free: "x-", Extra: []source.Extra{{Key: "more", Doc: "More.", Group: "kind", Into: func() any { return new(gate) }}}}
	if err := enc.Encode(source.Schema(new(everything), opt)); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "schema.json", b.Bytes())
}

func TestFieldsDescribeAllThatIsDeclared(t *testing.T) {
	b, err := json.MarshalIndent(source.Fields(new(everything)), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "fields.json", b)
}

func TestGroupsAndExtraKeys(t *testing.T) {
	var c everything
	var extra gate
	clean := false
	opt := source.Options{
		Extra: []source.Extra{
			{Key: "more", Group: "kind", Into: func() any { return &extra }, Done: func(ok bool) { clean = ok }},
			{Key: "other", Group: "kind", Into: func() any { return new(gate) }},
		},
		Expand: func(_, text string) (string, error) { return strings.ReplaceAll(text, "${{ x }}", "7"), nil },
	}
	f := source.File{Name: "f", Data: []byte("deployment: d${{ x }}\nwho: [{}, {user: a, token: b, key: c}]\nretries: ${{ x }}\nbare: 60\ntraffic: {service: s}\nmore: slo\n")}
	problems := source.Decode(f, &c, opt)
	want := `f:2:7: who[0] needs one of the keys user, group
f:2:31: who[1] has token and key, of which there can be only one
f:4:7: bare: 60% is out of range`
	if problems.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", problems.Error(), want)
	}
	if !clean || extra.Use.Value != "slo" || c.Deployment.Value != "d7" || c.Retries.Value != 7 || c.Gate.Use.Value != "slo" || c.Gate.Every.Value == 0 {
		t.Errorf("got %v %+v %+v", clean, extra, c.Gate)
	}
	f.Data = []byte("deployment: d\nmore: slo\nother: slo\nwho: [{user: a}]\n")
	if got, want := source.Decode(f, &c, opt).Error(), "f:3:1: the file has more and other, of which there can be only one"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
