package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/flagstore"
	"github.com/headgate-dev/headgate/internal/journal"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/internal/manifests"
	"github.com/headgate-dev/headgate/internal/proc"
	"github.com/headgate-dev/headgate/internal/proc/keeper"
	"github.com/headgate-dev/headgate/internal/prom"
	"github.com/headgate-dev/headgate/internal/registry"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// Keep does not return when this process was started to keep a program of the
// local platform. It is called first thing in main, and in TestMain.
func Keep() { keeper.Main() }

// wiring joins stages and adapters. It is the only place that knows which
// adapter goes where, and makes each only for a file that needs it.
type wiring struct {
	parts   *stages.Parts
	cluster *kube.Cluster
	world   *local.World
	closers []io.Closer
	// note, when set, is told what a person should know meanwhile.
	note func(line string)
	// noted are the lines of those that are told only once.
	noted map[string]bool
	// sandbox, when set, is a folder that paths in the file are below, with a
	// local world that listens where it likes: the demonstration's.
	sandbox string
}

func newWiring() *wiring { return &wiring{parts: &stages.Parts{}} }

// grammar is what a pipeline file can say.
func (w *wiring) grammar() pipeline.Grammar {
	return stages.Grammar(w.parts, append([]pipeline.Section{prom.Declare(), local.Declare()}, sections()...)...)
}

// undoers put back what stages change.
func (w *wiring) undoers() map[string]pipeline.Undoer { return stages.Undoers(w.parts) }

// offline gives stages what needs no network.
func (w *wiring) offline() {
	w.parts.Commands = proc.Runner{}
	w.parts.Manifests = w.release
	w.parts.Namespace = "default"
}

// close ends connections.
func (w *wiring) close() {
	for _, c := range w.closers {
		_ = c.Close() // nothing is left to be done on it
	}
}

// connect gives stages all that the file needs.
func (w *wiring) connect(ctx context.Context, p *pipeline.Pipeline, v pipeline.Values, o worldOptions) error {
	w.parts.Commands = proc.Runner{}
	w.parts.Registry = &registry.Client{}
	w.parts.Manifests = w.release
	w.parts.Gates.HTTP = gates.NewHTTPClient()
	w.parts.Gates.Commands = scripts{w.parts.Commands}
	text := func(t source.Template) (string, error) { return p.Text(t, v) }
	if o.local {
		return w.connectLocal(ctx, p, text, o)
	}
	if s, ok := pipeline.SectionOf[*prom.Section](p, prom.Key); ok {
		metrics, err := s.Open(text)
		if err != nil {
			return wrongSection(p, s.URL.Pos, err)
		}
		w.parts.Gates.Metrics = metrics
	}
	if s, ok := pipeline.SectionOf[*redisSection](p, redisKey); ok {
		if err := w.openFlags(s, text); err != nil {
			return wrongSection(p, s.URL.Pos, err)
		}
	}
	if !usesCluster(p) {
		return nil
	}
	c, err := w.kube(p, o)
	if err != nil {
		return err
	}
	w.parts.Namespace = c.Namespace()
	w.parts.Platform = c.Platform(kube.Settings{})
	w.parts.Router = func(t stages.Traffic, s stages.Split) (stages.Router, error) { return router(c, t, s) }
	w.parts.RouterOf = func(was json.RawMessage) (stages.Router, error) { return route.FromSnapshot(c, was) }
	return nil
}

// wrongSection is what a section says, seen to be wrong when its expressions
// are known. The error must hold no secret.
func wrongSection(p *pipeline.Pipeline, at source.Pos, err error) error {
	return &fileError{file: p.File, problems: source.Problems{source.Problem{Message: err.Error()}.In(p.File, at)}}
}

func (w *wiring) openFlags(s *redisSection, text func(source.Template) (string, error)) error {
	url, err := text(s.URL)
	if err != nil {
		return fmt.Errorf("read redis.url: %w", err)
	}
	_, err = w.useFlags(url)
	return err
}

func (w *wiring) useFlags(url string) (*flagstore.Store, error) {
	flags, err := flagstore.Open(url)
	if err != nil {
		return nil, fmt.Errorf("read redis.url: %w", err)
	}
	w.closers = append(w.closers, flags)
	w.parts.Flags = flags
	return flags, nil
}

// router returns the router that a traffic setting names.
func router(c *kube.Cluster, t stages.Traffic, split stages.Split) (stages.Router, error) {
	kind, target := t.Router()
	namespace, name, ok := strings.Cut(target, "/")
	if !ok {
		namespace, name = "", target
	}
	set := route.Settings{Namespace: namespace, Route: name, Split: split, Service: t.Service.Value, Matches: t.Match, Upstream: t.Upstream.Value}
	return route.New(c, kind, set)
}

// namesMetrics reports whether a pipeline says where metrics are.
func namesMetrics(p *pipeline.Pipeline) bool {
	_, ok := pipeline.SectionOf[*prom.Section](p, prom.Key)
	return ok
}

// usesCluster reports whether a pipeline works on a cluster.
func usesCluster(p *pipeline.Pipeline) bool {
	if _, ok := pipeline.SectionOf[*kubernetesSection](p, kubernetesKey); ok {
		return true
	}
	return slices.ContainsFunc(p.Stages, func(st *pipeline.Stage) bool { return stages.UsesPlatform(st.Task) })
}

// kube returns access to the cluster that the flags, else the file, name.
func (w *wiring) kube(p *pipeline.Pipeline, o worldOptions) (*kube.Cluster, error) {
	if w.cluster != nil {
		return w.cluster, nil
	}
	cfg := kube.Config{Kubeconfig: o.kubeconfig, Context: o.context, Namespace: o.namespace, Version: o.version}
	if s, ok := pipeline.SectionOf[*kubernetesSection](p, kubernetesKey); ok {
		cfg.Kubeconfig = cmp.Or(cfg.Kubeconfig, s.Kubeconfig.Value)
		cfg.Context = cmp.Or(cfg.Context, s.Context.Value)
		cfg.Namespace = cmp.Or(cfg.Namespace, s.Namespace.Value)
	}
	c, err := kube.New(cfg)
	if err != nil {
		return nil, err
	}
	w.cluster = c
	return c, nil
}

// journalPermissions are what the journal needs of the cluster, where it is
// kept there.
func (w *wiring) journalPermissions(o worldOptions) []string {
	kind, _, err := o.journalKind()
	if err != nil || w.cluster == nil || kind != "auto" && kind != "cluster" {
		return nil
	}
	var all []string
	for _, resource := range []string{"leases.coordination.k8s.io", "secrets"} {
		for _, verb := range []string{"create", "delete", "get", "update"} {
			all = append(all, verb+" "+resource+" in "+w.cluster.Namespace()+", for the journal")
		}
	}
	return all
}

// store returns where the pipeline's journal is kept.
func (w *wiring) store(p *pipeline.Pipeline, o worldOptions) (pipeline.Store, error) {
	kind, folder, err := o.journalKind()
	if err != nil {
		return nil, err
	}
	if kind == "auto" {
		kind = "file"
		if usesCluster(p) && !o.local {
			kind = "cluster"
		}
	}
	if kind == "cluster" && o.local {
		return nil, usagef("leave --journal out", "--local has no cluster that the journal could be kept in")
	}
	switch kind {
	case "memory":
		return &journal.Memory{}, nil
	case "file":
		if o.local {
			folder = cmp.Or(folder, local.JournalDir(localFolder(p)))
		}
		folder = cmp.Or(folder, filepath.Join(filepath.Dir(p.File.Name), ".headgate"))
		return journal.NewFile(folder, p.Name)
	}
	c, err := w.kube(p, o)
	if err != nil {
		return nil, err
	}
	return journal.NewKube(c.Dynamic(), journal.KubeOptions{Namespace: c.Namespace(), Pipeline: p.Name, Report: w.note})
}

// localFolder is where the world of a pipeline's local runs is kept.
func localFolder(p *pipeline.Pipeline) string {
	return filepath.Join(filepath.Dir(p.File.Name), ".headgate", "local", p.Name)
}

// connectLocal gives stages a world of local processes. The sections that say
// where the real one is are not looked at.
func (w *wiring) connectLocal(ctx context.Context, p *pipeline.Pipeline, text func(source.Template) (string, error), o worldOptions) error {
	if err := localKinds(p); err != nil {
		return err
	}
	s, ok := pipeline.SectionOf[*local.Section](p, local.Key)
	if !ok {
		s = &local.Section{}
	}
	programs, err := s.Programs(text)
	if err != nil {
		return wrongSection(p, s.Pos, err)
	}
	opts := local.Options{
		Dir: localFolder(p), Programs: programs, Listen: s.Listen.Value, ScrapeInterval: s.Scrape.Value,
		Fresh: o.fresh, Namespace: o.namespace, Report: w.note,
	}
	if k, ok := pipeline.SectionOf[*kubernetesSection](p, kubernetesKey); ok {
		opts.Namespace = cmp.Or(opts.Namespace, k.Namespace.Value)
	}
	if w.world != nil {
		w.world.SetPrograms(programs)
	} else if err := w.openWorld(ctx, p, s, opts); err != nil {
		return err
	}
	if w.parts.Gates.Metrics, err = prom.New(prom.Config{URL: w.world.PrometheusURL(), Timeout: localQuery}); err != nil {
		return err
	}
	flags, err := w.useFlags(w.world.RedisURL())
	if err != nil {
		return fmt.Errorf("open the local Redis: %w", err)
	}
	for i, path := range s.FlagPaths() {
		if err := flags.CreateFrom(ctx, w.place(path)); err != nil {
			return wrongSection(p, s.Flags[i].Pos, err)
		}
	}
	w.parts.Namespace = cmp.Or(opts.Namespace, "default")
	w.parts.Platform, w.parts.Registry, w.parts.Images = w.world, w.world, w.world
	w.parts.Router, w.parts.RouterOf = w.world.Router, w.world.RouterOf
	return nil
}

// openWorld opens the local world of a pipeline.
func (w *wiring) openWorld(ctx context.Context, p *pipeline.Pipeline, s *local.Section, opts local.Options) (err error) {
	if w.sandbox != "" {
		opts.Listen = ""
	}
	if paths := s.Paths(); len(paths) > 0 {
		if opts.Manifests, err = w.manifests(paths); err != nil {
			return wrongSection(p, s.Manifests[0].Pos, err)
		}
	}
	if w.world, err = local.Open(ctx, opts); err != nil {
		return err
	}
	w.closers = append(w.closers, w.world)
	if w.sandbox == "" {
		w.note(localNote(w.world.ProxyURL(), w.world.PrometheusURL(), w.world.RedisURL()))
	}
	return nil
}

// manifests reads those of paths in the file.
func (w *wiring) manifests(paths []string) ([]json.RawMessage, error) {
	placed := make([]string, len(paths))
	for i, path := range paths {
		placed[i] = w.place(path)
	}
	return manifests.Read(placed)
}

// place is where a path in the file is.
func (w *wiring) place(path string) string {
	if w.sandbox == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(w.sandbox, path)
}
