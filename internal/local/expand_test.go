package local

import (
	"strings"
	"testing"
)

func TestExpandFollowsKubernetes(t *testing.T) {
	known := map[string]string{"A": "1", "B_2": "two", "EMPTY": "", "REF": "$(A)"}
	lookup := func(name string) (string, bool) { v, ok := known[name]; return v, ok }
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$(A)", "1"},
		{"x$(A)y$(B_2)z", "x1ytwoz"},
		{"$(EMPTY)", ""},
		{"$(UNKNOWN)", "$(UNKNOWN)"},
		{"$$(A)", "$(A)"},
		{"$$$(A)", "$1"},
		{"$$$$(A)", "$$(A)"},
		{"$A $", "$A $"},
		{"$(A", "$(A"},
		{"$()", "$()"},
		{"$(REF)", "$(A)"}, // a value is not looked at again
		{"$($(A))", "$($(A))"},
		{"127.0.0.1:$(A)", "127.0.0.1:1"},
	} {
		if got := expand(c.text, lookup); got != c.want {
			t.Errorf("expand(%q): got %q, want %q", c.text, got, c.want)
		}
	}
}

// Text without any known name is only changed by its doubled dollars.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$", "$(", "a$)b", "$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := expand(s, func(string) (string, bool) { return "", false })
		if !strings.Contains(s, "$$") && got != s {
			t.Errorf("expand(%q) = %q, where nothing is known", s, got)
		}
		if len(got) > len(s) {
			t.Errorf("expand(%q) = %q, which is longer", s, got)
		}
	})
}
