// Package manifests reads the Kubernetes objects that a release consists of
// from files, folders, kustomizations and Helm charts.
package manifests

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// maxFile bounds one file of manifests, in bytes; maxObjects bounds how many
// objects one release may have.
const (
	maxFile    = 8 << 20
	maxObjects = 1000
)

// Read returns the objects of files and folders; see [Release.Read]. Helm
// charts are refused.
func Read(paths []string) ([]json.RawMessage, error) {
	sources := make([]Source, len(paths))
	for i, path := range paths {
		sources[i].Path = path
	}
	return Release{}.Read(context.Background(), sources)
}

// Read returns the objects of all sources as JSON, in the order in which they
// are to be applied: what others need before what needs it, and otherwise in
// the order of sources and files. A source is a file with any number of YAML
// or JSON documents, a folder with a kustomization, the folder of a Helm
// chart, or a folder of such files, which are read in the order of their
// names; folders in it are not.
func (r Release) Read(ctx context.Context, sources []Source) ([]json.RawMessage, error) {
	var all []object
	for _, s := range sources {
		objects, err := r.readSource(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		if all = append(all, objects...); len(all) > maxObjects {
			return nil, fmt.Errorf("read manifests: more than %d objects", maxObjects)
		}
	}
	if err := unique(all); err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	out := make([]json.RawMessage, len(all))
	for i, o := range all {
		out[i] = o.raw
	}
	return out, nil
}

// object is a manifest with what is looked at here.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string         `json:"name"`
		Namespace   string         `json:"namespace"`
		Annotations map[string]any `json:"annotations"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`

	raw  json.RawMessage
	from string
}

func (o object) id() string {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	return strings.Join([]string{group, o.Kind, o.Metadata.Namespace, o.Metadata.Name}, "\x00")
}

func (r Release) readSource(ctx context.Context, s Source) ([]object, error) {
	path := s.Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() && isChart(path) {
		return r.renderChart(ctx, s)
	}
	if !s.plain() {
		return nil, fmt.Errorf("%s is no Helm chart, so that release, values and set have no meaning", path)
	}
	if !info.IsDir() {
		return readFile(path)
	}
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return build(path)
		}
	}
	return readFolder(path)
}

func readFolder(path string) ([]object, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all []object
	for _, e := range entries { // sorted by name
		if e.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		objects, err := readFile(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("folder %s: no manifests in it", path)
	}
	return all, nil
}

// build renders a kustomization.
func build(path string) ([]object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, fmt.Errorf("kustomization %s: %w", path, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomization %s: %w", path, err)
	}
	return decode(path, text)
}

func readFile(path string) ([]object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("file %s: larger than %d bytes", path, maxFile)
	}
	return decode(path, text)
}

// decode cuts a text into its documents and reads each. Lists are taken apart.
func decode(from string, text []byte) ([]object, error) {
	var all []object
	for i, doc := range documents(text) {
		raw, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, fmt.Errorf("file %s, document %d: %w", from, i+1, err)
		}
		if string(raw) == "null" {
			continue // nothing but comments
		}
		objects, err := decodeObject(raw)
		if err != nil {
			return nil, fmt.Errorf("file %s, document %d: %w", from, i+1, err)
		}
		for _, o := range objects {
			o.from = from
			all = append(all, o)
		}
	}
	return all, nil
}

func decodeObject(raw json.RawMessage) ([]object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, errors.New("it is not a Kubernetes object")
	}
	if o.Kind == "List" && o.APIVersion == "v1" {
		var all []object
		for _, item := range o.Items {
			objects, err := decodeObject(item)
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
		return all, nil
	}
	if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" {
		return nil, errors.New("it has no apiVersion, kind or metadata.name")
	}
	o.raw = raw
	return []object{o}, nil
}

// documents cuts a stream at the lines that begin a document.
func documents(text []byte) [][]byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	var docs [][]byte
	var doc []byte
	for line := range bytes.Lines(text) {
		rest, begins := bytes.CutPrefix(line, []byte("---"))
		if begins && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			docs = append(docs, doc)
			doc = nil
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
				doc = append(append(doc, rest...), '\n')
			}
			continue
		}
		if bytes.HasPrefix(line, []byte("...")) && len(bytes.TrimSpace(line)) == 3 {
			continue
		}
		doc = append(doc, line...)
	}
	return append(docs, doc)
}

// unique refuses an object that is there twice, since one of the two would
// silently win.
func unique(all []object) error {
	seen := map[string]string{}
	for _, o := range all {
		if first, ok := seen[o.id()]; ok {
			return fmt.Errorf("%s %s is in %s and again in %s", o.Kind, o.Metadata.Name, first, o.from)
		}
		seen[o.id()] = o.from
	}
	return nil
}

// rank is the place of a kind in the order of applying.
func rank(kind string) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "ResourceQuota", "LimitRange",
		"ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding",
		"Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim", "Service", "NetworkPolicy",
		"", // all others
		"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod",
		"PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress", "HTTPRoute", "GRPCRoute",
		"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
	}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return slices.Index(order, "")
}
