package route

import "fmt"

// noUpstreamError reports a ConfigMap without a block for the tracks.
type noUpstreamError struct {
	route, upstream string
	old, next       service
}

func (e *noUpstreamError) Error() string {
	what := "no upstream block"
	if e.upstream != "" {
		what = "no block upstream " + e.upstream
	}
	return fmt.Sprintf("%s has %s with a server for Service %s or %s", e.route, what, e.old, e.next)
}

// Hint says what is looked for.
func (e *noUpstreamError) Hint() string {
	return fmt.Sprintf("name each track's Service in one upstream block, as in: server %s.%s.svc.cluster.local:80 weight=100;", e.old.name, e.old.namespace)
}

// unclearConfigError reports a configuration of which it is not clear how to
// split it.
type unclearConfigError struct {
	route, key string
	err        error
}

func (e *unclearConfigError) Error() string {
	return fmt.Sprintf("read %s, key %s: %v", e.route, e.key, e.err)
}

// Unwrap returns the cause.
func (e *unclearConfigError) Unwrap() error { return e.err }

// Hint says what can be split.
func (e *unclearConfigError) Hint() string {
	return "the key must be what nginx reads, and the tracks' upstream block have one server for each; mark others down or backup, or move them into a block of their own"
}

// manyUpstreamsError reports that it is not clear which block is meant.
type manyUpstreamsError struct {
	route string
	names []string
}

func (e *manyUpstreamsError) Error() string {
	return fmt.Sprintf("%s has several upstream blocks with servers of the tracks (%s, %s)", e.route, e.names[0], e.names[1])
}

// Hint says how to choose.
func (e *manyUpstreamsError) Hint() string { return "say which with traffic: upstream: NAME" }

// immutableError reports a ConfigMap that cannot be written.
type immutableError struct{ route string }

func (e *immutableError) Error() string { return "the ConfigMap of " + e.route + " is immutable" }

// Hint says what to do about it.
func (e *immutableError) Hint() string {
	return "make a ConfigMap without immutable: true in its place; weights are changed in it"
}

// subPathError reports a mount that never sees a change.
type subPathError struct{ route, pod string }

func (e *subPathError) Error() string {
	return fmt.Sprintf("pod %s mounts the ConfigMap of %s with subPath, and such a file never changes", e.pod, e.route)
}

// Hint says how to mount it instead.
func (e *subPathError) Hint() string {
	return "mount the whole volume into a folder of its own, such as mountPath: /etc/headgate without subPath, and start nginx with -c /etc/headgate/nginx.conf"
}

// noNginxError reports that nobody mounts the ConfigMap.
type noNginxError struct{ route string }

func (e *noNginxError) Error() string {
	return "no running pod mounts the ConfigMap of " + e.route
}

// Hint says where it is looked for.
func (e *noNginxError) Hint() string {
	return "start the nginx whose configuration it is, in the ConfigMap's namespace, with the ConfigMap as a volume"
}

// testFailedError reports a configuration that nginx refuses.
type testFailedError struct{ pod, words string }

func (e *testFailedError) Error() string {
	return fmt.Sprintf("nginx of pod %s refuses the configuration: %s", e.pod, e.words)
}

// Hint says that nothing has happened.
func (e *testFailedError) Hint() string {
	return "nginx tests the whole configuration, whoever wrote it; mend what it names and run again"
}

// noProcessError reports a container without nginx.
type noProcessError struct{ pod, container string }

func (e *noProcessError) Error() string {
	return fmt.Sprintf("no nginx runs in container %s of pod %s, which mounts its configuration", e.container, e.pod)
}

// Hint says what is looked for.
func (e *noProcessError) Hint() string {
	return "a process titled \"nginx: master process\" is looked for; run nginx with a master process in the container that mounts the ConfigMap"
}

// noShellError reports an image without the few programs that are needed.
type noShellError struct {
	pod string
	err error
}

func (e *noShellError) Error() string {
	return fmt.Sprintf("read the nginx of pod %s: %v", e.pod, e.err)
}

// Unwrap returns the cause.
func (e *noShellError) Unwrap() error { return e.err }

// Hint says what the image needs.
func (e *noShellError) Hint() string {
	return "the image of nginx needs sh, cat, ln, mktemp and rm, as nginx's own images and Debian's have"
}

// presentError reports that nginx refuses the configuration that it has now, so
// that a candidate cannot be put in its place for a test.
type presentError struct{ *testFailedError }

func (e *presentError) Error() string {
	return "the present configuration is not in order: " + e.testFailedError.Error()
}

// Unwrap returns the cause.
func (e *presentError) Unwrap() error { return e.testFailedError }
