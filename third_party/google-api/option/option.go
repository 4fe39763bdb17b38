// Package option stands in for google.golang.org/api/option: what Prometheus
// says to [google.golang.org/api/transport/http], which refuses all of it. See
// docs/adr/prometheus-is-embedded.md.
package option

// ClientOption is one thing said, and forgotten.
type ClientOption struct{}

// CredentialsType says what a file holds.
type CredentialsType struct{}

// ServiceAccount is the key of an account.
var ServiceAccount CredentialsType

// WithScopes says what for.
func WithScopes(...string) ClientOption { return ClientOption{} }

// WithAuthCredentialsFile says where the credentials are.
func WithAuthCredentialsFile(CredentialsType, string) ClientOption { return ClientOption{} }

// WithCredentials says what the credentials are.
func WithCredentials(any) ClientOption { return ClientOption{} }
