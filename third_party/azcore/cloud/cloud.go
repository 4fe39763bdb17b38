// Package cloud stands in for the package of this path; see azcore.
package cloud

// Configuration names a cloud by nothing but its type.
type Configuration struct{}

// The clouds, of which there is none to reach.
var AzureChina, AzureGovernment, AzurePublic Configuration
