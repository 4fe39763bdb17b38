package stages_test

import (
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/stages"
)

// FuzzOutputs: no text panics, and no value can become the name of another
// output: names are names, and all of them stand in the text.
func FuzzOutputs(f *testing.F) {
	for _, text := range []string{"", "a=b", "a<<E\nx=y\nE\n", "a<<E\n", "a=<<E\n", "=x", "a b=c", "a=1\r\nb=2\r\n", "a<< \n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := stages.ParseOutputs(text)
		if err != nil && values != nil {
			t.Errorf("values with the error %v", err)
		}
		for name, value := range values {
			if !stages.OutputName(name) || !strings.Contains(text, name) {
				t.Errorf("name %q", name)
			}
			if len(value) > len(text) {
				t.Errorf("value %q is longer than the text", value)
			}
		}
	})
}

// FuzzJUnit: no file panics or hangs, and what it says fits a line.
func FuzzJUnit(f *testing.F) {
	f.Add([]byte(`<testsuite name="a"><testcase name="x"><failure message="m">b</failure></testcase></testsuite>`))
	f.Add([]byte(`<testsuites><testsuite/></testsuites>`))
	f.Add([]byte(`<?xml version="1.0" encoding="latin1"?><a/>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		failed, tests, err := stages.ParseJUnit(data)
		if err != nil {
			return
		}
		if len(failed) > tests {
			t.Errorf("%d of %d tests failed", len(failed), tests)
		}
		for _, f := range failed {
			if strings.ContainsAny(f.Name+f.Message, "\n\r\x1b") {
				t.Errorf("%q is not one line", f)
			}
		}
	})
}
