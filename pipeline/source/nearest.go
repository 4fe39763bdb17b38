package source

import (
	"strings"
	"unicode"
)

// Nearest returns the known word that was probably meant by word, or "" when
// none is near enough.
func Nearest(word string, known []string) string {
	const longest = 64
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", 1<<30
	folded := fold(word)
	for _, k := range known {
		if len(k) > longest || k == word {
			continue
		}
		d := distance(folded, fold(k))
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if bestDistance > max(1, len(folded)/3) || bestDistance >= len(folded) && bestDistance > 0 {
		return ""
	}
	return best
}

// fold makes words alike that differ only in case, hyphens and underscores.
func fold(s string) []rune {
	var out []rune
	for _, r := range s {
		if r != '-' && r != '_' && r != ' ' {
			out = append(out, unicode.ToLower(r))
		}
	}
	return out
}

// distance is the number of runes to insert, drop, replace or swap with their
// neighbour to get from a to b.
func distance(a, b []rune) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

// Suggest returns a hint for an unknown word: the nearest known one, and what
// is known, what being the plural of what the words are, such as "gates".
func Suggest(word string, known []string, what string) string {
	var parts []string
	if n := Nearest(word, known); n != "" {
		parts = append(parts, "did you mean \""+n+"\"?")
	}
	switch len(known) {
	case 0:
		parts = append(parts, "there are no "+what)
	default:
		parts = append(parts, what+": "+listing(known))
	}
	return strings.Join(parts, " ")
}

// listing joins words, and cuts a list that nobody would read.
func listing(words []string) string {
	const most = 30
	if len(words) > most {
		return strings.Join(words[:most], ", ") + ", …"
	}
	return strings.Join(words, ", ")
}
