package journal

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/headgate-dev/headgate/pipeline"
)

// FuzzJournal: no bytes panic; what is read can be written and read again as
// the same; and what is torn off at the end takes no whole entry with it.
func FuzzJournal(f *testing.F) {
	line, err := encode(pipeline.Event{Type: pipeline.StepPassed, Name: "a"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(header())
	f.Add(append(header(), line...))
	f.Add(append(append(header(), line...), line[:20]...))
	f.Add([]byte(`{"format":"headgate-journal/2"}` + "\n"))
	f.Add([]byte("{\"format\":\"headgate-journal/1\"}\n{\"type\":\"changing\",\"change\":{\"thing\":{},\"was\":[1e400]}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, whole, err := decode("fuzz", data)
		if err != nil {
			return
		}
		if whole > len(data) || bytes.IndexByte(data[whole:], '\n') >= 0 {
			t.Fatalf("%d of %d bytes are whole", whole, len(data))
		}
		again := header()
		for _, e := range events {
			line, err := encode(e)
			if err != nil {
				t.Fatalf("encode what was decoded: %v", err)
			}
			again = append(again, line...)
		}
		second, _, err := decode("fuzz", again)
		if err != nil || len(second) != len(events) {
			t.Fatalf("decode what was encoded: %d of %d events, %v", len(second), len(events), err)
		}
		a, errA := json.Marshal(events)
		b, errB := json.Marshal(second)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("not the same:\n%s\n%s", a, b)
		}
	})
}

// FuzzSecret: no data of a Secret panics, or unpacks without bound.
func FuzzSecret(f *testing.F) {
	packed, err := pack(header())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1}`), packed, []byte("x"))
	f.Add([]byte(`{"version":1,"segments":[{"name":"a","sha256":""}]}`), []byte{}, header())
	k := &Kube{o: KubeOptions{Namespace: "n", Pipeline: "p"}}
	f.Fuzz(func(t *testing.T, meta, packed, tail []byte) {
		o := &kubeObject{name: "x", packed: packed, tail: tail}
		u, err := o.secret(k, "current")
		if err != nil {
			t.Fatal(err)
		}
		u.Object["data"].(map[string]any)[keyMeta] = string(meta)
		_, _ = parseObject(u)
		if strict(meta, &o.meta) == nil && len(o.meta.Segments) == 0 {
			if text, err := unpack(packed, 1<<20); err == nil && len(text) > 1<<20 {
				t.Errorf("%d bytes unpacked", len(text))
			}
			o.meta.Segments = nil
			_, _ = k.events(t.Context(), o)
		}
	})
}
