// Package policy stands in for the package of this path; see azcore.
package policy

// TokenRequestOptions says what a token is for.
type TokenRequestOptions struct {
	Scopes []string
}
