// Package route holds the routers of Kubernetes, one file for each: what
// splits the traffic between the tracks of a workload.
//
// Every router makes one write per change, on what it has read just before,
// and returns when it has read the change back and the router's controller
// has accepted it.
package route
