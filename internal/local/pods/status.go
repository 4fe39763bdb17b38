package pods

import "time"

// Status is what a pod is doing.
type Status struct {
	// Ready says that all containers have started and are ready. A pod that is
	// being stopped is not.
	Ready bool
	// Stopped says that all processes are gone, for good.
	Stopped bool
	// Init and Containers are in the order of the [Spec].
	Init, Containers []ContainerStatus
}

// What a container that does not run waits for.
const (
	// WaitingInit is for a container whose pod's init containers are not done.
	WaitingInit = "PodInitializing"
	// WaitingStart is for a container that is about to start.
	WaitingStart = "ContainerCreating"
	// WaitingCrashLoop is for a container that has ended, or could not be
	// started, and will be started again after a pause.
	WaitingCrashLoop = "CrashLoopBackOff"
)

// Why a container ended.
const (
	// ReasonCompleted is for a program that ended with exit code 0.
	ReasonCompleted = "Completed"
	// ReasonError is for any other exit code and for signals of others.
	ReasonError = "Error"
	// ReasonStart is for a program that could not be started.
	ReasonStart = "StartError"
	// ReasonLiveness and ReasonStartup are for programs that were ended since
	// the probe failed.
	ReasonLiveness = "LivenessFailed"
	ReasonStartup  = "StartupFailed"
	// ReasonPostStart is for a program that was ended since its hook failed.
	ReasonPostStart = "PostStartHookError"
	// ReasonStopped is for a program that was ended with its pod.
	ReasonStopped = "Stopped"
	// ReasonLost is for a program whose end nobody has seen, since what keeps
	// it was killed.
	ReasonLost = "Lost"
)

// ContainerStatus is what one container is doing.
type ContainerStatus struct {
	Name string
	// Running says that there is a process; Ready, that it has started and
	// answers its readiness probe, if it has one. An init container is ready
	// when it has ended well.
	Running, Ready bool
	// PID is the number of the process, or of the last one; 0 before the first.
	PID int
	// Restarts counts the starts but the first.
	Restarts int
	// Started is when the last process started, zero before the first.
	Started time.Time
	// Waiting is why there is no process, one of the Waiting constants; ""
	// when there is one, or none is needed any more.
	Waiting string
	// Message is one sentence about why the container is not ready, as far as
	// is known, in words for people; "" when it is ready.
	Message string
	// Exit is how the process before this one ended, nil if there was none.
	Exit *Exit
}

// Exit is the end of a process.
type Exit struct {
	// Code is the exit code, -1 when a signal ended the program or it never
	// started; Signal the signal, as SIGKILL, else "".
	Code   int
	Signal string
	// Reason is one of the Reason constants; Message the whole story in one
	// sentence.
	Reason, Message string
	// At is when it ended; Ran how long it had run.
	At  time.Time
	Ran time.Duration
	// Last are its last lines of output, a few.
	Last []string
}
