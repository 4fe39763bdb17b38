package main

import "testing"

func TestCRDNameFromFile(t *testing.T) {
	const want = "httproutes.gateway.networking.k8s.io"
	if got := crdName("gateway.networking.k8s.io_httproutes.yaml"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
