package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
)

// Keys of the Secret's data. The journal is the contents of the segments,
// unpacked, then packed, unpacked, then tail.
const (
	keyMeta   = "meta.json"
	keyPacked = "packed.jsonl.gz"
	keyTail   = "tail.jsonl"
)

// limits say when the parts of a journal move on, in bytes. The API server
// takes no Secret with more than 1 MiB of data, and every append sends the
// whole first object, so the parts are kept well below.
type limits struct {
	// tail is how much stays readable before it is packed; packed is how much
	// of that is kept before it becomes a segment; object bounds all of one
	// Secret's data.
	tail, packed, object int
}

// kubeMeta is what the first object says about the journal.
type kubeMeta struct {
	// Version is that of this layout.
	Version int `json:"version"`
	// Holder fences: only the holder of the lock that is named here writes.
	Holder string `json:"holder,omitempty"`
	// Segments are further objects that hold the start of the journal.
	Segments []segment `json:"segments,omitempty"`
	// Ended counts the journals that came before.
	Ended int `json:"ended,omitempty"`
	// Stripped is set in history where only the outline of a journal fitted.
	Stripped bool `json:"stripped,omitempty"`
}

// segment names a full part of a journal.
type segment struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// kubeObject is a Secret of ours, taken apart.
type kubeObject struct {
	name, version string
	meta          kubeMeta
	packed, tail  []byte
}

func (o *kubeObject) clone() *kubeObject {
	c := *o
	c.meta.Segments = append([]segment(nil), o.meta.Segments...)
	c.packed, c.tail = bytes.Clone(o.packed), bytes.Clone(o.tail)
	return &c
}

// same reports whether both hold the same entries under the same holder.
func (o *kubeObject) same(p *kubeObject) bool {
	a, errA := json.Marshal(o.meta)
	b, errB := json.Marshal(p.meta)
	return errors.Join(errA, errB) == nil && bytes.Equal(a, b) &&
		bytes.Equal(o.packed, p.packed) && bytes.Equal(o.tail, p.tail)
}

// size returns how many bytes of data the Secret has.
func (o *kubeObject) size() int { return 1024 + len(o.packed) + len(o.tail) + 160*len(o.meta.Segments) }

// secret puts the object together.
func (o *kubeObject) secret(k *Kube, part string) (*unstructured.Unstructured, error) {
	meta, err := json.Marshal(o.meta)
	if err != nil {
		return nil, fmt.Errorf("encode journal: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "headgate.dev/journal",
		"data": map[string]any{
			keyMeta:   base64.StdEncoding.EncodeToString(meta),
			keyPacked: base64.StdEncoding.EncodeToString(o.packed),
			keyTail:   base64.StdEncoding.EncodeToString(o.tail),
		},
	}}
	u.SetName(o.name)
	u.SetNamespace(k.o.Namespace)
	u.SetResourceVersion(o.version)
	u.SetLabels(k.labels(part))
	return u, nil
}

// parseObject takes a Secret apart.
func parseObject(u *unstructured.Unstructured) (*kubeObject, error) {
	place := "secret " + u.GetNamespace() + "/" + u.GetName()
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return nil, &CorruptError{Place: place, Line: 1, Err: err}
	}
	raw := map[string][]byte{}
	for _, key := range []string{keyMeta, keyPacked, keyTail} {
		if raw[key], err = base64.StdEncoding.DecodeString(data[key]); err != nil {
			return nil, &CorruptError{Place: place, Line: 1, Err: fmt.Errorf("%s: %w", key, err)}
		}
	}
	o := &kubeObject{name: u.GetName(), version: u.GetResourceVersion(), packed: raw[keyPacked], tail: raw[keyTail]}
	if err := strict(raw[keyMeta], &o.meta); err != nil {
		return nil, &CorruptError{Place: place, Line: 1, Err: fmt.Errorf("%s: %w", keyMeta, err)}
	}
	if o.meta.Version != 1 {
		err := fmt.Errorf("layout %d, where this version of headgate reads 1", o.meta.Version)
		return nil, &CorruptError{Place: place, Line: 1, Err: err}
	}
	return o, nil
}

// read returns the Secret of that name, nil where there is none.
func (k *Kube) read(ctx context.Context, name string) (*kubeObject, error) {
	ctx, cancel := request(ctx, perRequest)
	defer cancel()
	u, err := k.secrets().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(ctx, "read journal", err)
	}
	return parseObject(u)
}

// events decodes the journal that begins with head, its segments included.
func (k *Kube) events(ctx context.Context, head *kubeObject) ([]pipeline.Event, error) {
	text, err := k.text(ctx, head)
	if err != nil || len(text) == 0 {
		return nil, err
	}
	place := "secret " + k.o.Namespace + "/" + head.name
	events, whole, err := decode(place, text)
	if err == nil && whole != len(text) {
		// Objects are written whole or not at all.
		err = &CorruptError{Place: place, Line: len(events) + 2, Err: errors.New("the last entry is not whole")}
	}
	return events, err
}

// text returns the lines of the journal that begins with head.
func (k *Kube) text(ctx context.Context, head *kubeObject) ([]byte, error) {
	var text []byte
	add := func(o *kubeObject) error {
		more, err := unpack(o.packed, maxJournal-len(text))
		if err != nil {
			return &CorruptError{Place: "secret " + k.o.Namespace + "/" + o.name, Line: 1, Err: err}
		}
		text = append(append(text, more...), o.tail...)
		return nil
	}
	for _, s := range head.meta.Segments {
		o, err := k.read(ctx, s.Name)
		if err != nil {
			return nil, err
		}
		if o == nil || sum(o.packed) != s.SHA256 {
			err := fmt.Errorf("its segment %s is missing or not what was written", s.Name)
			return nil, &CorruptError{Place: "secret " + k.o.Namespace + "/" + head.name, Line: 1, Err: err}
		}
		if err := add(o); err != nil {
			return nil, err
		}
	}
	return text, add(head)
}

// sum returns the SHA-256 of b in hexadecimal.
func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// pack compresses lines to one gzip member; members can be put one behind
// the other.
func pack(lines []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(lines); err != nil {
		return nil, fmt.Errorf("pack journal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack journal: %w", err)
	}
	return b.Bytes(), nil
}

// unpack decompresses all members, to at most limit bytes.
func unpack(packed []byte, limit int) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(text) > limit {
		err = ErrTooLarge
	}
	return text, err
}

// write creates the Secret, or updates it when it has a version, and returns
// it as it is now. Annotations and labels of others on it are not kept: it is
// ours alone.
func (k *Kube) write(ctx context.Context, o *kubeObject, part string) (*kubeObject, error) {
	u, err := o.secret(k, part)
	if err != nil {
		return nil, err
	}
	ctx, cancel := request(ctx, perRequest)
	defer cancel()
	if o.version == "" {
		u, err = k.secrets().Create(ctx, u, metav1.CreateOptions{FieldManager: manager})
	} else {
		u, err = k.secrets().Update(ctx, u, metav1.UpdateOptions{FieldManager: manager})
	}
	if err != nil {
		return nil, err
	}
	next := o.clone()
	next.version = u.GetResourceVersion()
	return next, nil
}
