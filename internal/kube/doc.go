// Package kube is the platform on Kubernetes: it reads and changes workloads
// through the cluster's API, with nothing installed in the cluster.
//
// It speaks through client-go's dynamic client and keeps objects as the
// server sent them, so that a field that this program does not know survives
// every write; the typed structs of k8s.io/api are only for reading. The typed
// clientset, and all of client-go that imports it (discovery, restmapper), is
// kept out because it doubles the size of the binary.
//
// What it decides is in pure functions over objects: which label tells the
// tracks apart (labels.go), what a canary is made of (canary.go), whether a
// track is ready (readiness.go), and why it is not (health*.go).
package kube
