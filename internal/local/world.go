package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/headgate-dev/headgate/internal/local/metrics"
	"github.com/headgate-dev/headgate/internal/local/proxy"
	"github.com/headgate-dev/headgate/internal/local/redis"
	"github.com/headgate-dev/headgate/pipeline"
)

// Options say what a [World] is made of.
type Options struct {
	// Dir is the folder of its state, made if it is not there. Two worlds do
	// not share it.
	Dir string
	// Programs are what runs in place of images, by name; see
	// [Section.Programs].
	Programs map[string]Program
	// Manifests are objects that are there before the first release. They are
	// read anew each time; a Deployment among them is only made where there is
	// none of its name.
	Manifests []json.RawMessage
	// Namespace is that of what does not name its own; "" means default.
	Namespace string
	// Listen is the proxy's address; "" means 127.0.0.1 and a free port, the
	// same as the last time if it is still free.
	Listen string
	// ScrapeInterval is how often metrics are fetched; 0 means one second.
	ScrapeInterval time.Duration
	// Fresh throws away what was there.
	Fresh bool
	// Ready is how long what was there may take to be up again; 0 means 30 s.
	// What is not ready then goes on getting ready.
	Ready time.Duration
	// Report, when set, is told what is waited for.
	Report func(line string)
}

// World is a platform of processes on this machine. Its methods may be called
// from several goroutines.
type World struct {
	opts    Options
	images  *images
	proxy   *proxy.Server
	metrics *metrics.Server
	redis   *redis.Server
	lock    fileutil.Releaser

	mu      sync.Mutex
	state   *state
	running map[string]*running // by namespace/name
	fronts  map[string]*front   // of Services, by namespace/name and port
	main    map[objectKey]bool  // Services that a pipeline switches
	ports   map[int]bool        // that were given to pods
	scraped []metrics.Target    // as Prometheus was told the last time
	usage   *usage
	closed  bool
	changed chan struct{} // closed and made anew when pods have changed

	wake   chan struct{}
	stop   chan struct{}
	looped sync.WaitGroup
	ending sync.WaitGroup
}

// How patient a world is.
const (
	restartPause = time.Second // before the second restart of a container
	upAgain      = 30 * time.Second
	proxyDrain   = 10 * time.Second // for requests to a pod that is about to end
	farewell     = 3 * time.Second  // for pods to end with the world
)

// names of what listens, in the state.
const (
	proxyAddress      = "proxy"
	prometheusAddress = "prometheus"
	redisAddress      = "redis"
)

// LockedError reports a world that another run works on.
type LockedError struct{ Dir string }

// Error names the folder.
func (e *LockedError) Error() string {
	return "open the local world: another run works on it (" + e.Dir + ")"
}

// Unwrap makes errors.Is(err, pipeline.ErrLocked) true.
func (e *LockedError) Unwrap() error { return pipeline.ErrLocked }

// Hint says what to do.
func (e *LockedError) Hint() string { return "wait for it to end, or end it with Ctrl-C" }

// Open brings a world up as its state says it was left, and waits until what
// was there serves again. Whoever opens one closes it.
func Open(ctx context.Context, o Options) (*World, error) {
	o.Namespace, o.Ready = cmp.Or(o.Namespace, "default"), cmp.Or(o.Ready, upAgain)
	if o.Report == nil {
		o.Report = func(string) {}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the local world: %w", err)
	}
	if err := keepOut(o.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	w := &World{
		opts: o, lock: lock, images: &images{dir: filepath.Join(o.Dir, "images"), programs: o.Programs},
		running: map[string]*running{}, fronts: map[string]*front{}, main: map[objectKey]bool{}, ports: map[int]bool{},
		changed: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// keepOut keeps a world out of the repository that it may lie in.
func keepOut(dir string) error {
	path := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.WriteFile(path, []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("open the local world: %w", err)
	}
	return nil
}

func lockDir(dir string) (fileutil.Releaser, error) {
	lock, _, err := fileutil.Flock(filepath.Join(dir, "lock"))
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return nil, fmt.Errorf("lock the local world: %w", err)
		}
		return nil, &LockedError{Dir: dir}
	}
	return lock, nil
}

// StatePath is the file of a world's state below its folder.
func StatePath(dir string) string { return filepath.Join(dir, "state.json") }

// JournalDir is the folder below a world's own for the journals of its runs. It
// is thrown away with the world: what they would put back is no more.
func JournalDir(dir string) string { return filepath.Join(dir, "journal") }

func (w *World) redisPath() string { return filepath.Join(w.opts.Dir, "redis") }

func (w *World) open(ctx context.Context) error {
	if w.opts.Fresh {
		for _, path := range []string{StatePath(w.opts.Dir), w.redisPath(), filepath.Join(w.opts.Dir, "images"), filepath.Join(w.opts.Dir, "logs"), JournalDir(w.opts.Dir)} {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("throw away the local world: %w", err)
			}
		}
	}
	var err error
	if w.state, err = loadState(StatePath(w.opts.Dir)); err != nil {
		return err
	}
	_ = os.RemoveAll(filepath.Join(w.opts.Dir, "logs")) // of pods that are no more
	w.tidy()
	if err := w.listen(); err != nil {
		return err
	}
	w.mu.Lock()
	err = w.begin()
	w.mu.Unlock()
	if err != nil {
		return err
	}
	w.looped.Go(w.loop)
	w.poke()
	return w.upAgain(ctx)
}

// begin adds what the section's manifests say, and makes the proxy go by the
// routes that there are; w.mu is held.
func (w *World) begin() error {
	m, err := readObjects(w.opts.Manifests, w.opts.Namespace)
	if err != nil {
		return err
	}
	err = w.change(func(s *state) error {
		for _, k := range m.order {
			s.Objects[k] = m.objects[k]
		}
		for i := range m.deployments {
			d := deployment{UID: randomSuffix(10), Object: m.deployments[i]}
			if _, there := s.Deployments[d.key()]; there || w.images.skips(d.Object.Spec.Template.Spec) {
				continue
			}
			if err := w.pin(s, &d.Object); err != nil {
				return fmt.Errorf("make deployment %s: %w", d.key(), err)
			}
			s.Deployments[d.key()] = d
		}
		return w.routeAll(s)
	})
	if err != nil {
		return err
	}
	for _, r := range w.state.Routes {
		if err := w.proxy.SetRoute(r.Route); err != nil {
			return err
		}
	}
	return nil
}

// listen starts what is asked at addresses, where it was the last time if that
// is possible.
func (w *World) listen() error {
	var err error
	if w.opts.Listen != "" {
		if w.proxy, err = proxy.NewServer(proxy.Options{Listen: w.opts.Listen}); err != nil {
			return &listenError{address: w.opts.Listen, err: err}
		}
	} else if w.proxy, err = again(w.state.Addresses[proxyAddress], func(at string) (*proxy.Server, error) {
		return proxy.NewServer(proxy.Options{Listen: at})
	}); err != nil {
		return err
	}
	dir := filepath.Join(w.opts.Dir, "metrics")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open the local world: %w", err)
	}
	w.metrics, err = again(w.state.Addresses[prometheusAddress], func(at string) (*metrics.Server, error) {
		return metrics.Open(metrics.Options{Dir: dir, Listen: at, ScrapeInterval: w.opts.ScrapeInterval})
	})
	if err != nil {
		return err
	}
	w.redis, err = again(w.state.Addresses[redisAddress], func(at string) (*redis.Server, error) {
		return redis.Open(redis.Options{Listen: at, Snapshot: w.redisPath()})
	})
	if err != nil {
		return err
	}
	if w.usage, err = w.openUsage(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change(func(s *state) error {
		s.Addresses = map[string]string{
			proxyAddress: w.proxy.Address(), prometheusAddress: hostOf(w.metrics.URL()), redisAddress: hostOf(w.redis.URL()),
		}
		return nil
	})
}

// listenError reports the address of the file, where the proxy cannot listen.
type listenError struct {
	address string
	err     error
}

func (e *listenError) Error() string { return e.err.Error() }
func (e *listenError) Unwrap() error { return e.err }

// Hint says how to come by an address.
func (e *listenError) Hint() string {
	return "end what listens at " + e.address + ", or name another address in local.listen; without it a free one is taken"
}

// again opens a server at the address that it had the last time, else at a free
// one: others may have taken it since, be it by a connection of their own.
func again[T any](address string, open func(listen string) (T, error)) (T, error) {
	if address != "" {
		if s, err := open(address); err == nil {
			return s, nil
		}
	}
	return open("")
}

// upAgain waits until what the state names serves; what does not is told, for
// a run may be about to mend it.
func (w *World) upAgain(ctx context.Context) error {
	w.mu.Lock()
	names := w.deploymentNames()
	w.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, w.opts.Ready, errNotUp)
	defer cancel()
	for _, name := range names {
		err := w.await(limited, waiting{name: name, replicas: -1})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			w.opts.Report(fmt.Sprintf("deployment %s was left here and is not up again: %s", name, err))
		}
	}
	return nil
}

var errNotUp = errors.New("it takes too long")

// change writes what edit makes of the state, and only then goes by it; w.mu
// is held. The loop then makes it so.
func (w *World) change(edit func(s *state) error) error {
	if w.closed {
		return errClosed
	}
	next := w.state.clone()
	if err := edit(next); err != nil {
		return err
	}
	if err := next.point(); err != nil {
		return err
	}
	if err := saveState(StatePath(w.opts.Dir), next); err != nil {
		return err
	}
	w.state = next
	w.poke()
	return nil
}

var errClosed = errors.New("the local world is closed")

// ProxyURL is where the service is reached, such as http://127.0.0.1:8080.
func (w *World) ProxyURL() string { return w.proxy.URL() }

// PrometheusURL is where the metrics are asked for.
func (w *World) PrometheusURL() string { return w.metrics.URL() }

// RedisURL is where the flags are. It holds a password.
func (w *World) RedisURL() string { return w.redis.URL() }

// Close ends all processes and listeners. What is wanted stays in the state.
// A second call does nothing.
func (w *World) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	close(w.stop)
	w.mu.Unlock()
	w.looped.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if w.proxy != nil { // first, so that nobody finds it without pods
		last, done := context.WithTimeout(ctx, farewell/3)
		_ = w.proxy.Close(last) // who still sends then is broken off: the world is at its end
		done()
	}
	w.endAll(ctx)
	var all []error
	if w.usage != nil {
		all = append(all, w.usage.close())
	}
	if w.metrics != nil {
		all = append(all, w.metrics.Close())
	}
	if w.redis != nil {
		all = append(all, w.redis.Close())
	}
	return errors.Join(append(all, w.lock.Release())...)
}
