package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Maskable reports whether a secret can be masked at all: it is long enough,
// or has a line that is.
func Maskable(secret string) bool { return len(Lines(secret)) > 0 }

// Lines returns the parts of a secret that stand for it in outputs that know
// lines only, such as the mask command of a CI: the value itself, or, of one
// with several lines, each that is long enough to say something.
func Lines(secret string) []string {
	s := strings.TrimSpace(secret)
	if !strings.ContainsAny(s, "\r\n") {
		if !telling(s, MinLength) {
			return nil
		}
		return []string{s}
	}
	var lines []string
	for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); telling(line, minLine) {
			lines = append(lines, line)
		}
	}
	return lines
}

// telling reports whether s is long enough and more than the mask itself.
func telling(s string, atLeast int) bool { return len(s) >= atLeast && strings.Trim(s, "*") != "" }

// forms returns all that is looked for on account of one secret.
func forms(secret string) []string {
	values := Lines(secret)
	if len(values) == 0 {
		return nil
	}
	// The whole is looked for beside its lines: encoded, it is one piece.
	values = append(values, secret, strings.TrimSpace(secret))
	var all []string
	for _, v := range values {
		all = append(all, v)
		for _, e := range encodings(v) {
			if telling(e, minEncoded) || e == v {
				all = append(all, e)
			}
		}
	}
	return all
}

func encodings(v string) []string {
	hexed := hex.EncodeToString([]byte(v))
	all := []string{
		url.QueryEscape(v), url.PathEscape(v), userinfo(v),
		jsonEscape(v, true), jsonEscape(v, false),
		unquoted(strconv.Quote(v)), unquoted(strconv.QuoteToASCII(v)),
		strings.ReplaceAll(v, "'", `'\''`),
		html.EscapeString(v),
		hexed, strings.ToUpper(hexed),
	}
	for _, e := range all[:3] {
		all = append(all, lowerHex(e))
	}
	return append(all, base64Forms(v)...)
}

// userinfo escapes v as the password of a URL.
func userinfo(v string) string {
	return strings.TrimPrefix(url.UserPassword("", v).String(), ":")
}

// lowerHex writes %2F as %2f, as some encoders do.
func lowerHex(escaped string) string {
	return regexp.MustCompile(`%[0-9A-F]{2}`).ReplaceAllStringFunc(escaped, strings.ToLower)
}

func jsonEscape(v string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(v) // a string can always be encoded
	return unquoted(strings.TrimSuffix(b.String(), "\n"))
}

func unquoted(quoted string) string { return quoted[1 : len(quoted)-1] }

// base64Forms returns how v looks in base64, in both alphabets: encoded alone,
// with and without padding, and somewhere inside of a longer text, where it
// can begin at each of three places within a group.
func base64Forms(v string) []string {
	var all []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		alone := enc.EncodeToString([]byte(v))
		if pad := (4 - len(alone)%4) % 4; pad > 0 {
			all = append(all, alone+strings.Repeat("=", pad))
		}
		all = append(all, alone)
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), v...))
			// Only the characters whose six bits are all v's are the same
			// whatever stands around it.
			first := (8*before + 5) / 6
			last := 8 * (before + len(v)) / 6
			all = append(all, text[first:last])
		}
	}
	return all
}
