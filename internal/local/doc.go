// Package local is a world without a cluster: the Deployments of the manifests
// become processes on this machine, the route a weighted reverse proxy,
// Prometheus and Redis are inside this process. It is for trying a pipeline
// before it meets a cluster, for demonstrations and for tests, and no target
// for production.
//
// A [World] outlives the process that runs it as a file: what is deployed,
// with which image and how many pods, and how traffic is split. The next
// process brings it up again. So runs one after another are releases one after
// another, and a run that was killed is gone on with where it was.
//
// Every change of the file is on the disk before it is acted upon, as an API
// server does it. From the file, one loop starts and ends pods until what runs
// is what is wanted, as a controller does it.
package local
