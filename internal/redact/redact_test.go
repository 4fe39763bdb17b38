package redact_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/redact"
)

func TestStringMasks(t *testing.T) {
	const secret = `p@ss/w"ord+1`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, secret, in, want string }{
		{"as it is", secret, "x " + secret + " y", "x *** y"},
		{"in a query", secret, "?q=" + url.QueryEscape(secret) + "&a", "?q=***&a"},
		{"in a path", secret, "/" + url.PathEscape(secret), "/***"},
		{"in a query, small letters", secret, strings.ToLower(url.QueryEscape(secret)), "***"},
		{"in a URL", secret, (&url.URL{Scheme: "redis", User: url.UserPassword("u", secret), Host: "h"}).String(), "redis://u:***@h"},
		{"in JSON", secret, string(quoted), `"***"`},
		{"quoted by Go", secret, fmt.Sprintf("%q", secret), `"***"`},
		{"quoted by a shell", "it's me", `'it'\''s me'`, "'***'"},
		{"base64", secret, base64.StdEncoding.EncodeToString([]byte(secret)), "***"},
		{"base64 for URLs", "\xff\xfe\xfd\xfcab", base64.URLEncoding.EncodeToString([]byte("\xff\xfe\xfd\xfcab")), "***"},
		{"twice in a row", "hunter22", "hunter22hunter22", "***"},
		{"overlapping", "aabaa", "aabaabaa", "***"},
		{"short", "abc", "abc abc", "abc abc"},
		{"empty", "", "abc", "abc"},
		{"stars", "*****", "a ***** b", "a ***** b"},
		{"surrounding space", "  hunter22\n", "hunter22", "***"},
		{"one line of several", "{\n\"key\": \"abcdefgh\"\n}", `{ "key": "abcdefgh" }`, "{ *** }"},
		{"trivial lines stay", "{\n\"key\": \"abcdefgh\"\n}", "{\n}\n", "{\n}\n"},
		{"several lines in JSON", "first line\nsecond line", `{"a":"first line\nsecond line"}`, `{"a":"***"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := redact.New(tc.secret).String(tc.in); got != tc.want {
				t.Errorf("String(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestBase64IsMaskedAtEveryAlignment(t *testing.T) {
	const secret = "correct horse battery"
	r := redact.New(secret)
	for before := range 6 {
		text := strings.Repeat("x", before) + secret + "yyy"
		in := base64.StdEncoding.EncodeToString([]byte(text))
		got := r.String(in)
		if !strings.Contains(got, redact.Mask) {
			t.Errorf("after %d bytes: %q went through", before, in)
		}
		// What is left around the mask tells at most the edges of a group.
		if kept := len(strings.ReplaceAll(got, redact.Mask, "")); kept > len(in)-4*len(secret)/3+2 {
			t.Errorf("after %d bytes: %d characters of %q kept: %q", before, kept, in, got)
		}
	}
}

func TestMaskableAndLines(t *testing.T) {
	for _, tc := range []struct {
		secret string
		want   []string
	}{
		{"abc", nil},
		{"abcd", []string{"abcd"}},
		{"{\n}", nil},
		{"-----BEGIN KEY-----\r\nc2VjcmV0IGtleQ==\r\n-----END KEY-----\n", []string{"-----BEGIN KEY-----", "c2VjcmV0IGtleQ==", "-----END KEY-----"}},
	} {
		got := redact.Lines(tc.secret)
		if strings.Join(got, "|") != strings.Join(tc.want, "|") {
			t.Errorf("Lines(%q) = %q, want %q", tc.secret, got, tc.want)
		}
		if redact.Maskable(tc.secret) != (len(tc.want) > 0) {
			t.Errorf("Maskable(%q) is wrong", tc.secret)
		}
	}
}

func TestWriterKeepsBackOnlyWhatMayBeASecret(t *testing.T) {
	var b strings.Builder
	w := redact.New("hunter22").Writer(&b)
	for _, step := range []struct{ in, want string }{
		{"line one\n", "line one\n"},
		{"pass: hunt", "line one\npass: "},
		{"er", "line one\npass: "},
		{"22!", "line one\npass: ***!"},
		{"hunt", "line one\npass: ***!"},
		{"ing", "line one\npass: ***!hunting"},
	} {
		if _, err := io.WriteString(w, step.in); err != nil {
			t.Fatal(err)
		}
		if b.String() != step.want {
			t.Fatalf("after %q: got %q, want %q", step.in, b.String(), step.want)
		}
	}
}

func TestANilRedactorLetsEverythingPass(t *testing.T) {
	var r *redact.Redactor
	if got := r.String("abc"); got != "abc" {
		t.Errorf("got %q", got)
	}
}

// However a text is cut into writes, no secret comes out, and what comes out
// is what String says.
func FuzzWriter(f *testing.F) {
	f.Add("hunter22", "secret\nof lines", "say hunter22 and secret\nof lines", uint8(3))
	f.Add("aaaa", "aaaaab", "aaaaaaaab", uint8(1))
	f.Add("abcabd", "bdab", "abcabcabdab", uint8(2))
	f.Fuzz(func(t *testing.T, a, b, text string, cut uint8) {
		r := redact.New(a, b)
		whole := r.String(text)
		var out strings.Builder
		w := r.Writer(&out)
		step := max(1, int(cut))
		for i := 0; i < len(text); i += step {
			if _, err := io.WriteString(w, text[i:min(len(text), i+step)]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole {
			t.Fatalf("in pieces of %d: got %q, want %q", step, out.String(), whole)
		}
		for _, s := range []string{a, b} {
			if redact.Maskable(s) && !strings.Contains(s, "*") && strings.Contains(whole, s) {
				t.Fatalf("%q of %q went through: %q", s, text, whole)
			}
		}
	})
}
