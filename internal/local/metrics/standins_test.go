package metrics_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage/remote/azuread"
	"github.com/prometheus/prometheus/storage/remote/googleiam"
)

// TestCloudsAreRefused: what go.work puts in place of the SDKs of clouds never
// passes for one of them.
func TestCloudsAreRefused(t *testing.T) {
	azure := func(c azuread.AzureADConfig) func() error {
		return func() error {
			c.Cloud = azuread.AzurePublic
			_, err := azuread.NewAzureADRoundTripper(&c, http.DefaultTransport)
			return err
		}
	}
	for _, tt := range []struct {
		name string
		use  func() error
	}{
		{"signature of AWS in a file", func() error {
			_, err := config.Load("remote_write: [{url: 'http://localhost', sigv4: {region: eu-north-1}}]", promslog.NewNopLogger())
			return err
		}},
		{"signature of AWS without settings", func() error {
			_, err := config.Load("remote_write: [{url: 'http://localhost', sigv4: {}}]", promslog.NewNopLogger())
			return err
		}},
		{"identity of Azure", azure(azuread.AzureADConfig{ManagedIdentity: &azuread.ManagedIdentityConfig{ClientID: "x"}})},
		{"workload of Azure", azure(azuread.AzureADConfig{WorkloadIdentity: &azuread.WorkloadIdentityConfig{ClientID: "x", TenantID: "y"}})},
		{"secret of Azure", azure(azuread.AzureADConfig{OAuth: &azuread.OAuthConfig{ClientID: "x", ClientSecret: "y", TenantID: "z"}})},
		{"Azure's defaults", azure(azuread.AzureADConfig{SDK: &azuread.SDKConfig{}})},
		{"credentials of Google", func() error {
			_, err := googleiam.NewRoundTripper(&googleiam.Config{CredentialsFile: "x"}, nil)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.use(); err == nil || !strings.Contains(err.Error(), "not built in") {
				t.Errorf("got %v, want an error that says: not built in", err)
			}
		})
	}
}
