package gates_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// FuzzCounting: whatever samples a provider sends, a check of requests passes
// only with enough of them and a value within its bounds, and says nothing
// that JSON could not hold.
func FuzzCounting(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte("200 1.0 0 0 0 0 0 0 10 0 0 0"), uint8(3))
	one := binary.LittleEndian.AppendUint64(nil, math.Float64bits(100))
	f.Add(append(append(append([]byte{}, one...), one...), one...), uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, shape uint8) {
		labels := []map[string]string{
			{"status": "200", "le": "+Inf"}, {"status": "500", "le": "1"}, {"status": "404", "le": "0.5"}, {"le": "x"}, {"status": "200"},
		}
		answer := func() (gates.Reply, error) {
			r := gates.Reply{Kind: gates.Kind(shape % 4)}
			for i := 0; len(data[i*8:]) >= 8 && i < 64; i++ {
				n := i % (1 + int(shape>>2)%len(labels))
				for len(r.Series) <= n {
					r.Series = append(r.Series, gates.Series{Labels: labels[len(r.Series)]})
				}
				v := math.Float64frombits(binary.LittleEndian.Uint64(data[i*8:]))
				r.Series[n].Points = append(r.Series[n].Points, gates.Point{Time: second(900 + 5*len(r.Series[n].Points)), Value: v})
			}
			return r, nil
		}
		for _, check := range []string{`errorRate: {max: 5%, minSamples: 20}`, `latency: {max: 1s, minSamples: 20}`, `query: q, max: 1`, `cpu: 80%`, `memory: 80%`} {
			w := gate(t, `[{`+check+`}]`).Watch(gates.Providers{Metrics: fake{"": answer, "count by (le)": counted(answer)}},
				gates.Target{Since: second(800)})
			m := w.Look(t.Context(), second(1000)).Evidence[0]
			for _, v := range []*float64{m.Value, m.Samples} {
				if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
					t.Errorf("%s: got %v", check, *v)
				}
			}
			if m.Outcome != pipeline.Pass {
				continue
			}
			if m.Result != string(gates.Value) || m.Samples != nil && *m.Samples < 20 {
				t.Errorf("%s: passes with %+v", check, m)
			}
		}
	})
}

// counted makes a vector of the last samples.
func counted(answer func() (gates.Reply, error)) func() (gates.Reply, error) {
	return func() (gates.Reply, error) {
		r, err := answer()
		r.Kind = gates.Vector
		for i, s := range r.Series {
			r.Series[i].Points = []gates.Point{{Time: time.Time{}, Value: float64(len(s.Points))}}
		}
		return r, err
	}
}
