// Package azidentity stands in for
// github.com/Azure/azure-sdk-for-go/sdk/azidentity, by which Prometheus gets
// tokens to send metrics to Azure. The Prometheus of `run --local` sends
// nothing anywhere, and here every way to a token is an error. See
// docs/adr/prometheus-is-embedded.md.
package azidentity

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

var errNotBuiltIn = errors.New("get token of Azure: not built in")

// none is every credential: none at all.
type none struct{}

// GetToken refuses.
func (none) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errNotBuiltIn
}

// The credentials that Prometheus asks for, and what it says about each.
type (
	ClientCertificateCredential = none
	ClientSecretCredential      = none
	DefaultAzureCredential      = none
	ManagedIdentityCredential   = none
	WorkloadIdentityCredential  = none

	// ClientID names a managed identity.
	ClientID string

	ClientCertificateCredentialOptions struct {
		azcore.ClientOptions
		SendCertificateChain bool
	}
	ClientSecretCredentialOptions struct{ azcore.ClientOptions }
	DefaultAzureCredentialOptions struct {
		azcore.ClientOptions
		TenantID string
	}
	ManagedIdentityCredentialOptions struct {
		azcore.ClientOptions
		ID ClientID
	}
	WorkloadIdentityCredentialOptions struct {
		azcore.ClientOptions
		ClientID, TenantID, TokenFilePath string
	}
)

// NewClientCertificateCredential refuses.
func NewClientCertificateCredential(_, _ string, _ []*x509.Certificate, _ crypto.PrivateKey, _ *ClientCertificateCredentialOptions) (*ClientCertificateCredential, error) {
	return nil, errNotBuiltIn
}

// NewClientSecretCredential refuses.
func NewClientSecretCredential(_, _, _ string, _ *ClientSecretCredentialOptions) (*ClientSecretCredential, error) {
	return nil, errNotBuiltIn
}

// NewDefaultAzureCredential refuses.
func NewDefaultAzureCredential(*DefaultAzureCredentialOptions) (*DefaultAzureCredential, error) {
	return nil, errNotBuiltIn
}

// NewManagedIdentityCredential refuses.
func NewManagedIdentityCredential(*ManagedIdentityCredentialOptions) (*ManagedIdentityCredential, error) {
	return nil, errNotBuiltIn
}

// NewWorkloadIdentityCredential refuses.
func NewWorkloadIdentityCredential(*WorkloadIdentityCredentialOptions) (*WorkloadIdentityCredential, error) {
	return nil, errNotBuiltIn
}

// ParseCertificates refuses.
func ParseCertificates(_, _ []byte) ([]*x509.Certificate, crypto.PrivateKey, error) {
	return nil, nil, errNotBuiltIn
}
