package kube

// The codes of [Problem], and of stages.NotReadyError from this platform: one
// for each cause. docs/how-to/not-ready.md says of each what to do.
const (
	ImagePull     = "ImagePull"     // the image cannot be fetched
	Pulling       = "Pulling"       // the image is still being fetched
	CrashLoop     = "CrashLoop"     // a container ends again and again
	InitFailed    = "InitFailed"    // so does an init container
	InitRunning   = "InitRunning"   // an init container has not ended
	OutOfMemory   = "OutOfMemory"   // a container is ended for its memory
	StartupProbe  = "StartupProbe"  // a container is restarted for its startup probe
	LivenessProbe = "LivenessProbe" // a container is restarted for its liveness probe
	ConfigError   = "ConfigError"   // a ConfigMap or Secret, or a key in it, is missing
	StartError    = "StartError"    // a container cannot be started
	Unschedulable = "Unschedulable" // no node has room
	Quota         = "Quota"         // a quota refuses the pods
	PodSecurity   = "PodSecurity"   // the namespace's Pod Security Standard refuses the pods
	Webhook       = "Webhook"       // an admission webhook refuses the pods, or does not answer
	Refused       = "Refused"       // the API server refuses the pods for another reason
	VolumeError   = "VolumeError"   // a volume cannot be mounted
	Sandbox       = "Sandbox"       // the node cannot give the pod its network
	Evicted       = "Evicted"       // nodes end the pods: evicted, preempted, shut down
	NodeNotReady  = "NodeNotReady"  // the node of a pod does not answer
	NotPassing    = "NotPassing"    // the containers run, the probes do not pass
	ReadinessGate = "ReadinessGate" // another controller has not let the pod be ready
	NoRoute       = "NoRoute"       // the pods are ready, the Service does not have them
	Timeout       = "Timeout"       // none of these, and no time left
	Lost          = "Lost"          // its pods were ready, and are not any more
)

// Codes returns all codes.
func Codes() []string {
	return []string{
		ImagePull, Pulling, CrashLoop, InitFailed, InitRunning, OutOfMemory, StartupProbe, LivenessProbe,
		ConfigError, StartError, Unschedulable, Quota, PodSecurity, Webhook, Refused, VolumeError, Sandbox,
		Evicted, NodeNotReady, NotPassing, ReadinessGate, NoRoute, Timeout, Lost,
	}
}
