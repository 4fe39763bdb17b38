// Package e2e proves Headgate on a real Kubernetes, with load on the service
// all the while and every failed request counted.
//
// The tests need what `go run ./test/cluster up` starts, and run on whatever
// KUBECONFIG names:
//
//	eval "$(go run ./test/cluster env)"
//	go test -tags e2e ./test/e2e
//
// Each test has a namespace and a host name of its own.
package e2e
