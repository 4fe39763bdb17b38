package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/headgate-dev/headgate/pipeline"
)

// The kinds of objects that hold journals and locks.
var (
	secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	leases  = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// KubeOptions say where a [Kube] store keeps a journal, and how patient it is.
type KubeOptions struct {
	// Namespace is that of the workload; Pipeline is the pipeline's name.
	// Both are required.
	Namespace, Pipeline string
	// Lease is how long a lock outlives its last renewal, in whole seconds;
	// 0 means 15 s, at least 2 s.
	Lease time.Duration
	// History is how many ended journals are kept; 0 means 5, negative none.
	History int
	// Report, when set, gets a line when Open has to wait.
	Report func(line string)

	// limits are the default ones but in tests.
	limits limits
}

// Kube is a [pipeline.Store] in a cluster: the journal is a Secret (and, when
// it grows, more of them), the lock a Lease, both in the namespace of the
// workload. It needs get, create, update and delete on these two kinds, and
// never lists.
type Kube struct {
	client dynamic.Interface
	o      KubeOptions
	me     process
}

var _ pipeline.Store = (*Kube)(nil)

// NewKube returns the store for one pipeline's journal in one namespace. The
// client should not be throttled to a few requests a second: a run writes one
// entry before each change and one after it.
func NewKube(client dynamic.Interface, o KubeOptions) (*Kube, error) {
	if o.Namespace == "" || o.Pipeline == "" {
		return nil, errors.New("open journal: namespace and pipeline name are required")
	}
	if o.Lease == 0 {
		o.Lease = 15 * time.Second
	}
	o.Lease = max(o.Lease.Round(time.Second), 2*time.Second)
	if o.History == 0 {
		o.History = 5
	}
	if o.limits == (limits{}) {
		o.limits = limits{tail: 16 << 10, packed: 128 << 10, object: 900 << 10}
	}
	return &Kube{client: client, o: o, me: thisProcess()}, nil
}

// Permissions names what the store needs, in the words of a plan.
func (k *Kube) Permissions() []string {
	in := " in " + k.o.Namespace
	return []string{
		"get, create, update, delete secrets" + in,
		"get, create, update leases.coordination.k8s.io" + in,
	}
}

// Names of the objects.
func (k *Kube) lockName() string    { return "headgate-" + k.o.Pipeline }
func (k *Kube) journalName() string { return k.lockName() + "-journal" }
func (k *Kube) segmentName(n int) string {
	return fmt.Sprintf("%s-%d", k.journalName(), n)
}

func (k *Kube) historyName(slot int) string {
	return fmt.Sprintf("%s-history-%d", k.lockName(), slot)
}

func (k *Kube) secrets() dynamic.ResourceInterface {
	return k.client.Resource(secrets).Namespace(k.o.Namespace)
}

func (k *Kube) leases() dynamic.ResourceInterface {
	return k.client.Resource(leases).Namespace(k.o.Namespace)
}

// Peek reads the newest journal without taking the lock.
func (k *Kube) Peek(ctx context.Context) ([]pipeline.Event, error) {
	// A reset between reading the first object and its segments takes them
	// away; reading again finds the new journal.
	for try := 0; ; try++ {
		head, err := k.read(ctx, k.journalName())
		if head == nil || err != nil {
			return nil, err
		}
		events, err := k.events(ctx, head)
		if err == nil || try == 3 {
			return events, err
		}
	}
}

// History returns the journals that ended, the newest first.
func (k *Kube) History(ctx context.Context) ([][]pipeline.Event, error) {
	head, err := k.read(ctx, k.journalName())
	if head == nil || err != nil {
		return nil, err
	}
	var all [][]pipeline.Event
	for n := head.meta.Ended; n > 0 && n > head.meta.Ended-k.o.History; n-- {
		old, err := k.read(ctx, k.historyName(k.slot(n)))
		if err != nil {
			return nil, err
		}
		if old == nil {
			break
		}
		events, err := k.events(ctx, old)
		if err != nil {
			return nil, err
		}
		all = append(all, events)
	}
	return all, nil
}

// slot returns where the n-th ended journal is kept.
func (k *Kube) slot(n int) int { return n % max(k.o.History, 1) }

// Open takes the lock and reads the journal. Where the last holder of the
// lock seems to have died it waits until that is certain, for no longer than
// the lease; where the holder lives, until its next sign of life, which is a
// third of that.
func (k *Kube) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	held, err := k.acquire(ctx, info)
	if err != nil {
		return nil, err
	}
	j := &kubeJournal{store: k, held: held}
	if err := j.takeOver(ctx); err != nil {
		return nil, errors.Join(err, held.release(ctx, 0))
	}
	return j, nil
}

// request bounds one call to the API server, or a few.
func request(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, slowError{d})
}

// slowError is the cause of a context whose time for requests was up.
type slowError struct{ after time.Duration }

// Error says how long was waited.
func (e slowError) Error() string {
	return fmt.Sprintf("the API server did not answer within %s", e.after)
}

// failed explains an error of the API server. A context that ended says why,
// and a missing permission is named.
func failed(ctx context.Context, doing string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	if apierrors.IsForbidden(err) {
		return &ForbiddenError{Doing: doing, Err: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ForbiddenError reports a permission that the store lacks.
type ForbiddenError struct {
	// Doing is what was tried.
	Doing string
	// Err is the API server's answer, which names the user and the verb.
	Err error
}

// Error returns the server's answer.
func (e *ForbiddenError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap returns the server's error.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// Hint names all permissions at once.
func (e *ForbiddenError) Hint() string {
	return "the journal needs get, create, update and delete on secrets, and get, create and update on leases (coordination.k8s.io), in the workload's namespace"
}

// transient reports whether trying again may help: the network failed, or
// the server is busy.
func transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code == http.StatusTooManyRequests || code >= 500
	}
	var network net.Error
	return errors.As(err, &network) || errors.As(err, new(slowError)) || errors.Is(err, io.ErrUnexpectedEOF)
}

// labels mark the objects as ours.
func (k *Kube) labels(part string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/managed-by": "headgate",
		"headgate.dev/journal":         part,
		"headgate.dev/pipeline":        strings.TrimRight(k.o.Pipeline[:min(len(k.o.Pipeline), 63)], "-._"),
	}
}
