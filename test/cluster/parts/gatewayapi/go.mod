// The Gateway API, for the custom resource definitions that its module carries.
module github.com/headgate-dev/headgate/test/cluster/parts/gatewayapi

go 1.26.0

require sigs.k8s.io/gateway-api v1.4.0
