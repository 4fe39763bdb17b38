// Package azcore stands in for github.com/Azure/azure-sdk-for-go/sdk/azcore: the
// types by which Prometheus asks azidentity for a token to send metrics to
// Azure, which the Prometheus of `run --local` never does. Nothing here has a
// token to give. See docs/adr/prometheus-is-embedded.md.
package azcore

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// AccessToken is a token and its end.
type AccessToken struct {
	Token     string
	ExpiresOn time.Time
}

// TokenCredential gives tokens; nothing in the stand-ins is one.
type TokenCredential interface {
	GetToken(context.Context, policy.TokenRequestOptions) (AccessToken, error)
}

// ClientOptions says which cloud to ask.
type ClientOptions struct {
	Cloud cloud.Configuration
}
