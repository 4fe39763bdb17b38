// Package pods runs pods as processes of this machine, on loopback: what the
// kubelet and a container runtime do for one pod, as far as a release can
// tell. Init containers run one after another; containers get their startup,
// readiness and liveness probes, are started again with a growing pause, and
// end by preStop, SIGTERM, the grace period and SIGKILL.
//
// # What is not there
//
// No image, no file system and no network of its own: a program sees all that
// the user who started it sees, and a port that it listens at is one of the
// machine's. Limits and requests of memory and CPU, volumes, security contexts
// and users are not enforced. A pod's containers share nothing but loopback.
//
// # Nothing is left running
//
// The processes of a container belong to a keeper, see package
// internal/proc/keeper: they end with their container and with this process,
// however it ends. keeper.Main must be called first thing in main, or in
// TestMain.
package pods
