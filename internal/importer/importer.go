// Package importer turns what Argo Rollouts and Flagger say about a rollout
// into a pipeline file, and says what could not be carried over.
package importer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// The bounds on what is read: far more than anybody has, and little enough for
// nobody to be kept waiting.
const (
	maxBytes     = 4 << 20
	maxDocuments = 1000
)

// Input is one file.
type Input struct {
	Name string
	Data []byte
}

// Note is something about the source that a person should know.
type Note struct {
	// File names file, kind and object, and Path the place in it, such as
	// "spec.strategy.canary.steps[2].setMirrorRoute".
	File, Path string
	// Text says why, or what stands in its place.
	Text string
	// Lost is whether something is missing in the pipeline file that the
	// source says.
	Lost bool
}

// String returns "file: path: text".
func (n Note) String() string { return n.File + ": " + n.Path + ": " + n.Text }

// Result is what was made.
type Result struct {
	// File is the pipeline file.
	File []byte
	// Notes are in the order of the source.
	Notes []Note
}

// Lost reports whether anything could not be carried over.
func (r Result) Lost() bool {
	return slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Lost })
}

var errNothing = errors.New("there is no Rollout of Argo Rollouts and no Canary of Flagger in it")

// nothingError is [errNothing] with a hint.
type nothingError struct{ kinds []string }

// Error names what there is instead.
func (e *nothingError) Error() string {
	if len(e.kinds) == 0 {
		return errNothing.Error()
	}
	return errNothing.Error() + ", only " + strings.Join(e.kinds, ", ")
}

// Unwrap makes errors.Is work.
func (e *nothingError) Unwrap() error { return errNothing }

// Hint says what can be read.
func (e *nothingError) Hint() string {
	return "give the manifests of argoproj.io/v1alpha1 Rollout or flagger.app/v1beta1 Canary, with the AnalysisTemplates or MetricTemplates that they name"
}

// Import reads manifests and makes one pipeline file of all rollouts in them.
func Import(inputs []Input) (Result, error) {
	im := &importing{templates: map[string]*node{}, metrics: map[string]*node{}, taken: map[string]bool{}}
	var rollouts, canaries []*node
	var other []string
	for _, in := range inputs {
		docs, err := documents(in)
		if err != nil {
			return Result{}, err
		}
		for _, d := range docs {
			d.file += ": " + d.get("kind").text() + " " + d.get("metadata").get("name").text()
			switch api, kind := d.get("apiVersion").text(), d.get("kind").text(); {
			case kind == "Rollout" && strings.HasPrefix(api, "argoproj.io/"):
				rollouts = append(rollouts, d)
			case kind == "Canary" && strings.HasPrefix(api, "flagger.app/"):
				canaries = append(canaries, d)
			case kind == "AnalysisTemplate" || kind == "ClusterAnalysisTemplate":
				im.templates[d.get("metadata").get("name").text()] = d
			case kind == "MetricTemplate":
				im.metrics[d.get("metadata").get("name").text()] = d
			case kind != "" && !slices.Contains(other, kind):
				other = append(other, kind)
			}
		}
	}
	for _, d := range rollouts {
		if err := im.rollout(d); err != nil {
			return Result{}, fmt.Errorf("import %s: %w", d.file, err)
		}
	}
	for _, d := range canaries {
		if err := im.flagger(d); err != nil {
			return Result{}, fmt.Errorf("import %s: %w", d.file, err)
		}
	}
	if len(rollouts)+len(canaries) == 0 {
		slices.Sort(other)
		return Result{}, &nothingError{other}
	}
	return Result{File: im.write(), Notes: im.notes}, nil
}

// documents reads the documents of a file; those that are empty are left out.
func documents(in Input) ([]*node, error) {
	if len(in.Data) > maxBytes {
		return nil, fmt.Errorf("read %s: it is larger than %d MiB", in.Name, maxBytes>>20)
	}
	var out []*node
	for i, doc := range separator().Split(strings.ReplaceAll(string(in.Data), "\r\n", "\n"), maxDocuments+1) {
		if i == maxDocuments {
			return nil, fmt.Errorf("read %s: it has more than %d documents", in.Name, maxDocuments)
		}
		var v any
		if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
			return nil, fmt.Errorf("read %s: document %d: %w", in.Name, i+1, err)
		}
		root, ok := v.(map[string]any)
		if !ok {
			if v == nil {
				continue
			}
			return nil, fmt.Errorf("read %s: document %d is no object", in.Name, i+1)
		}
		if items, ok := root["items"].([]any); ok && root["kind"] == "List" {
			for _, item := range items {
				out = append(out, &node{file: in.Name, v: item})
			}
			continue
		}
		out = append(out, &node{file: in.Name, v: root})
	}
	return out, nil
}

// importing is one Import.
type importing struct {
	templates, metrics map[string]*node
	notes              []Note

	name, namespace, prometheus string
	images                      []variable
	gates                       []gate
	stages                      []stage
	taken                       map[string]bool // names of gates, stages and variables
}

type variable struct{ name, value string }

// stage is one stage as lines of YAML below its kind.
type stage struct {
	name, kind string
	lines      []string
}

func (im *importing) lost(n *node, format string, args ...any) { im.note(n, true, format, args...) }
func (im *importing) tell(n *node, format string, args ...any) { im.note(n, false, format, args...) }

func (im *importing) note(n *node, lost bool, format string, args ...any) {
	n.all()
	said := Note{File: n.file, Path: n.path, Text: fmt.Sprintf(format, args...), Lost: lost}
	if !slices.Contains(im.notes, said) { // A template may be read for two gates.
		im.notes = append(im.notes, said)
	}
}

// each says of those keys that there are why they are left out: with lost,
// something is missing then.
func (im *importing) each(n *node, lost bool, why map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(why)) {
		k := n.get(key)
		switch {
		case !k.there():
		case lost:
			im.lost(k, "%s", why[key])
		default:
			im.tell(k, "not needed: %s", why[key])
		}
	}
}

// rest reports every key below n that nothing has looked at: what is not
// known is not left out in silence.
func (im *importing) rest(n *node) {
	for _, k := range n.unused() {
		im.lost(k, "Headgate has nothing of this kind")
	}
}

var (
	separator = pattern(`(?m)^---(?:[ \t].*)?$`)
	// label is what Kubernetes takes for the name of an object, and a pipeline
	// file for that of a pipeline.
	label = pattern(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)
)

// workload reads the metadata of a rollout.
func (im *importing) workload(d *node) (string, error) {
	name := d.get("metadata").get("name").text()
	if !label().MatchString(name) {
		return "", fmt.Errorf("metadata.name %q is not the name of an object", name)
	}
	if im.name == "" {
		im.name = name
	}
	namespace := d.get("metadata").get("namespace").text()
	switch {
	case namespace == "" || !label().MatchString(namespace):
	case im.namespace == "":
		im.namespace = namespace
	case im.namespace != namespace:
		im.lost(d.get("metadata").get("namespace"), "the file names one namespace, %s; add namespace: %s to this stage", im.namespace, namespace)
	}
	return name, nil
}

// free returns a name that is not taken yet.
func (im *importing) free(name string) string {
	for n, base := 2, name; im.taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	im.taken[name] = true
	return name
}

// image makes a variable for the image of a workload and returns the
// expression for it.
func (im *importing) image(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	name := "image"
	if len(im.images) > 0 {
		name = fmt.Sprintf("image%d", len(im.images)+1)
	}
	im.images = append(im.images, variable{name, image})
	return quote("${{ vars." + name + " }}")
}
