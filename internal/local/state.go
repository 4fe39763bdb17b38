package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/headgate-dev/headgate/internal/local/proxy"

	appsv1 "k8s.io/api/apps/v1"
)

// stateFormat is the version of the state's file.
const stateFormat = 1

// maxState bounds the state's file, in bytes.
const maxState = 64 << 20

// state is what is wanted of a world. It is copied, changed and written as a
// whole.
type state struct {
	Format int `json:"format"`
	// Images by name@digest, Tags from name:tag to that.
	Images map[string]image  `json:"images"`
	Tags   map[string]string `json:"tags"`
	// Deployments by namespace/name, the canaries among them.
	Deployments map[string]deployment `json:"deployments"`
	Objects     objectSet             `json:"objects"`
	Routes      map[string]routing    `json:"routes"`
	// Selectors are those of Services that were switched, by namespace/name;
	// what a manifest says of them is of before.
	Selectors map[string]map[string]string `json:"selectors,omitempty"`
	// Saved is what tracks were before a run changed them in place, by the
	// track's key and then by what it is.
	Saved map[string]map[string]savedTrack `json:"saved,omitempty"`
	// Addresses are those of the last time: proxy, prometheus, redis.
	Addresses map[string]string `json:"addresses"`
}

// deployment is a Deployment as it is wanted.
type deployment struct {
	// UID changes when one is removed and made again.
	UID    string            `json:"uid"`
	Object appsv1.Deployment `json:"object"`
	// Run is the run that made it; "" once another release has come to it, or
	// where no run has made it.
	Run string `json:"run,omitempty"`
	// Made are the objects that were made for it and go with it.
	Made []objectKey `json:"made,omitempty"`
	// Colour is blue or green, where a run has said so.
	Colour string `json:"colour,omitempty"`
	// Config are ConfigMaps and Secrets of its release, which its pods see in
	// place of those of the world.
	Config objectSet `json:"config,omitempty"`
}

func (d deployment) key() string { return d.Object.Namespace + "/" + d.Object.Name }

func (d deployment) replicas() int {
	if d.Object.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Object.Spec.Replicas)
}

// routing is a route with the workload that it is for.
type routing struct {
	proxy.Route
	// Workload is namespace/name of the Deployment, Service the Service's name,
	// "" for the one that selects its pods.
	Workload string `json:"workload"`
	Service  string `json:"service,omitempty"`
	// Colours are the Deployments of a route between blue and green, in place
	// of Workload and Service.
	Colours map[string]backing `json:"colours,omitempty"`
}

// backing is what stands behind a route for one colour.
type backing struct {
	Workload string `json:"workload"`
	Service  string `json:"service,omitempty"`
}

func newState() *state {
	return &state{
		Format: stateFormat, Images: map[string]image{}, Tags: map[string]string{}, Deployments: map[string]deployment{},
		Objects: objectSet{}, Routes: map[string]routing{}, Addresses: map[string]string{},
	}
}

// clone copies the maps; what is in them is replaced and never changed.
func (s *state) clone() *state {
	c := *s
	c.Images, c.Tags, c.Deployments = maps.Clone(s.Images), maps.Clone(s.Tags), maps.Clone(s.Deployments)
	c.Objects, c.Routes, c.Addresses = maps.Clone(s.Objects), maps.Clone(s.Routes), maps.Clone(s.Addresses)
	c.Selectors, c.Saved = maps.Clone(s.Selectors), maps.Clone(s.Saved)
	return &c
}

// decodeState reads what encode wrote.
func decodeState(data []byte) (*state, error) {
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("read state of the local world: %w", err)
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("read state of the local world: it has format %d, and this program knows %d", s.Format, stateFormat)
	}
	for k, d := range s.Deployments {
		if k != d.key() || len(d.Object.Spec.Template.Spec.Containers) == 0 || d.Object.Spec.Selector == nil || d.replicas() < 0 {
			return nil, fmt.Errorf("read state of the local world: deployment %q is not whole", k)
		}
	}
	for k, r := range s.Routes {
		if err := r.Validate(); err != nil || k != r.Name {
			return nil, fmt.Errorf("read state of the local world: route %q is not whole", k)
		}
	}
	if s.Images == nil || s.Tags == nil || s.Deployments == nil || s.Objects == nil || s.Routes == nil || s.Addresses == nil {
		return nil, errors.New("read state of the local world: a part of it is missing")
	}
	return s, nil
}

// loadState reads the state's file; a world without one is new.
func loadState(path string) (*state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state of the local world: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("read state of the local world: %w", err)
	}
	if len(data) > maxState {
		return nil, fmt.Errorf("read state of the local world: %s is larger than %d bytes", path, maxState)
	}
	s, err := decodeState(data)
	if err != nil {
		return nil, &brokenStateError{path: path, err: err}
	}
	return s, nil
}

// brokenStateError reports a file that cannot be read.
type brokenStateError struct {
	path string
	err  error
}

func (e *brokenStateError) Error() string { return e.err.Error() + " (" + e.path + ")" }
func (e *brokenStateError) Unwrap() error { return e.err }

// Hint says how to do without it.
func (e *brokenStateError) Hint() string { return "run with --fresh to begin anew" }

// saveState writes the file so that a reader, and whoever comes after a crash,
// finds the old one or the new one.
func saveState(path string, s *state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write state of the local world: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".state-")
	if err != nil {
		return fmt.Errorf("write state of the local world: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write state of the local world: %w", err)
	}
	return nil
}
