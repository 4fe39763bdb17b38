package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// Manager is the field manager of all that Headgate writes.
const Manager = "headgate"

const (
	// callTimeout bounds one request, retries by client-go included.
	callTimeout = 15 * time.Second
	// readTries is how often a read is tried that failed for a reason that
	// passes, such as a control plane that restarts.
	readTries = 4
)

// Config says which cluster to speak to.
type Config struct {
	// Kubeconfig is the path of a kubeconfig file; "" means what KUBECONFIG
	// names, else the one in the home folder, else the pod's own account.
	Kubeconfig string
	// Context is one of the kubeconfig; "" means the current one.
	Context string
	// Namespace is used where none is said; "" means the context's own, or
	// the pod's.
	Namespace string
	// Version is Headgate's, for the user agent.
	Version string
}

// Cluster is access to one Kubernetes API.
type Cluster struct {
	dyn       dynamic.Interface
	raw       rest.Interface
	namespace string
	host      string
	exec      ExecFunc
}

// New returns access to the cluster that cfg names. It makes no request, so
// that an error is always about the configuration.
func New(cfg Config) (*Cluster, error) {
	// client-go logs to stderr by itself what its caller gets as an error.
	klog.SetLogger(logr.Discard())
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = cfg.Kubeconfig
	over := &clientcmd.ConfigOverrides{CurrentContext: cfg.Context}
	over.Context.Namespace = cfg.Namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over)
	rc, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) { // whose text speaks of variables that are not ours
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, &configError{fmt.Errorf("read kubeconfig: %w", err)}
	}
	ns, _, err := loader.Namespace()
	if err != nil {
		return nil, &configError{fmt.Errorf("read kubeconfig: %w", err)}
	}
	version := cfg.Version
	if version == "" {
		version = "dev"
	}
	rc.UserAgent = "headgate/" + version
	rc.QPS, rc.Burst = 200, 400
	rc.WarningHandler = rest.NoWarnings{}
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, &configError{fmt.Errorf("read kubeconfig: %w", err)}
	}
	plain := dynamic.ConfigFor(rc)
	plain.APIPath = "/api"
	plain.GroupVersion = &schema.GroupVersion{Version: "v1"}
	raw, err := rest.RESTClientFor(plain)
	if err != nil {
		return nil, &configError{fmt.Errorf("read kubeconfig: %w", err)}
	}
	return &Cluster{dyn: dyn, raw: raw, namespace: ns, host: rc.Host, exec: remote(rc)}, nil
}

// NewFrom returns access through clients that exist already. raw may be nil;
// then there are no logs, and kinds are known by the built-in table alone.
func NewFrom(dyn dynamic.Interface, raw rest.Interface, namespace string) *Cluster {
	return &Cluster{dyn: dyn, raw: raw, namespace: namespace}
}

// Namespace returns the one used where none is said.
func (c *Cluster) Namespace() string { return c.namespace }

// Host returns the address of the API server, "" if not known.
func (c *Cluster) Host() string { return c.host }

// configError is an error about the kubeconfig.
type configError struct{ error }

// Unwrap returns the cause.
func (e *configError) Unwrap() error { return e.error }

// Hint says where the configuration comes from.
func (e *configError) Hint() string {
	if os.Getenv("KUBECONFIG") == "" {
		return "set KUBECONFIG or --kubeconfig to a kubeconfig file, or run in a pod with a service account; headgate plan --offline does without a cluster"
	}
	return "check the file that KUBECONFIG names, its current context and its credentials"
}

// Get reads an object. An object that is not there is an error for which
// [IsNotFound] is true. Namespace "" is for objects without one.
func (c *Cluster) Get(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	var u *unstructured.Unstructured
	err := c.read(ctx, func(ctx context.Context) (err error) {
		u, err = c.at(gvr, namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", describe(gvr, namespace, name), err)
	}
	return u, nil
}

// List reads the objects of a namespace that opts select, all pages.
func (c *Cluster) List(ctx context.Context, gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	var all *unstructured.UnstructuredList
	opts.Limit = 500
	for {
		var page *unstructured.UnstructuredList
		err := c.read(ctx, func(ctx context.Context) (err error) {
			page, err = c.at(gvr, namespace).List(ctx, opts)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", describe(gvr, namespace, ""), err)
		}
		if all == nil {
			all = page
		} else {
			all.Items = append(all.Items, page.Items...)
			all.SetResourceVersion(page.GetResourceVersion())
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return all, nil
		}
	}
}

// Write is how a write is made.
type Write struct {
	// DryRun lets the server do all but the write.
	DryRun bool
}

func (w Write) dryRun() []string {
	if w.DryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// Create makes an object and returns it as the server has it.
func (c *Cluster) Create(ctx context.Context, gvr schema.GroupVersionResource, u *unstructured.Unstructured, w Write) (*unstructured.Unstructured, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	got, err := c.at(gvr, u.GetNamespace()).Create(ctx, u, metav1.CreateOptions{FieldManager: Manager, DryRun: w.dryRun()})
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", describe(gvr, u.GetNamespace(), u.GetName()), cause(ctx, err))
	}
	return got, nil
}

// Update replaces an object. The object's resourceVersion is the
// precondition: [IsConflict] is true for the error when somebody else was
// faster.
func (c *Cluster) Update(ctx context.Context, gvr schema.GroupVersionResource, u *unstructured.Unstructured, w Write) (*unstructured.Unstructured, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	got, err := c.at(gvr, u.GetNamespace()).Update(ctx, u, metav1.UpdateOptions{FieldManager: Manager, DryRun: w.dryRun()})
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", describe(gvr, u.GetNamespace(), u.GetName()), cause(ctx, err))
	}
	return got, nil
}

// Apply makes the fields that u names what u says (server-side apply) and
// leaves the others; fields that others own are taken over.
func (c *Cluster) Apply(ctx context.Context, gvr schema.GroupVersionResource, u *unstructured.Unstructured, w Write) (*unstructured.Unstructured, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	got, err := c.at(gvr, u.GetNamespace()).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: Manager, Force: true, DryRun: w.dryRun()})
	if err != nil {
		return nil, fmt.Errorf("apply %s: %w", describe(gvr, u.GetNamespace(), u.GetName()), cause(ctx, err))
	}
	return got, nil
}

// Delete removes the object u and no other of its name; one that is gone
// already is no error. The objects it owns are removed first with foreground,
// afterwards without.
func (c *Cluster) Delete(ctx context.Context, gvr schema.GroupVersionResource, u *unstructured.Unstructured, foreground bool) error {
	ctx, cancel := within(ctx)
	defer cancel()
	uid, policy := u.GetUID(), metav1.DeletePropagationBackground
	if foreground {
		policy = metav1.DeletePropagationForeground
	}
	opts := metav1.DeleteOptions{PropagationPolicy: &policy}
	if uid != "" {
		opts.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := c.at(gvr, u.GetNamespace()).Delete(ctx, u.GetName(), opts)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", describe(gvr, u.GetNamespace(), u.GetName()), cause(ctx, err))
	}
	return nil
}

// IsNotFound reports whether err says that an object is not there.
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }

// IsConflict reports whether err says that an object was changed since it was
// read, or exists already.
func IsConflict(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

func (c *Cluster) at(gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.dyn.Resource(gvr)
	}
	return c.dyn.Resource(gvr).Namespace(namespace)
}

// read makes a request that changes nothing, and makes it again when it
// failed for a reason that passes.
func (c *Cluster) read(ctx context.Context, do func(ctx context.Context) error) error {
	wait := 150 * time.Millisecond
	for try := 1; ; try++ {
		err := func() error {
			ctx, cancel := within(ctx)
			defer cancel()
			return cause(ctx, do(ctx))
		}()
		if err == nil || try == readTries || !passing(err) {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait *= 3
	}
}

// passing reports whether an error is of the kind that passes by itself.
func passing(err error) bool {
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}

var errCallTimeout = errors.New("the cluster's API did not answer within " + callTimeout.String())

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callTimeout, errCallTimeout)
}

// cause replaces err by why ctx ended, where it ended.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// pause waits for d or until ctx ends, whose cause it then returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func describe(gvr schema.GroupVersionResource, namespace, name string) string {
	s := gvr.Resource
	if name != "" {
		s += " " + name
	}
	if namespace != "" {
		s += " in " + namespace
	}
	return s
}
