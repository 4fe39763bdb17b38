package route

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSplit(t *testing.T) {
	cases := []struct {
		from split
		to   float64
		want split
	}{
		{split{stable: 1}, 20, split{stable: 80, canary: 20}},
		{split{stable: 80, canary: 20}, 100, split{stable: 0, canary: 100}},
		{split{stable: 80, canary: 20}, 0, split{stable: 100, canary: 0}},
		{split{stable: 1}, 0.5, split{stable: 995, canary: 5}},
		{split{stable: 1}, 33.33, split{stable: 6667, canary: 3333}},
		{split{stable: 1}, 0.0001, split{stable: 999999, canary: 1}},
		{split{stable: 9, others: []int64{1}}, 20, split{stable: 36, canary: 9, others: []int64{5}}},
		{split{stable: 36, canary: 9, others: []int64{5}}, 0, split{stable: 9, canary: 0, others: []int64{1}}},
		{split{stable: 1, others: []int64{0}}, 50, split{stable: 1, canary: 1, others: []int64{0}}},
		{split{stable: 3, others: []int64{7, 11}}, 0.5, split{stable: 597, canary: 3, others: []int64{1400, 2200}}},
	}
	for _, c := range cases {
		got, err := c.from.at(c.to)
		if err != nil {
			t.Errorf("%+v at %v: %v", c.from, c.to, err)
			continue
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(split{})); d != "" {
			t.Errorf("%+v at %v (-want +got):\n%s", c.from, c.to, d)
		}
	}
}

func TestImpossibleSplitIsAnError(t *testing.T) {
	for _, s := range []split{{}, {stable: 1, others: []int64{999_983}}, {stable: 0, others: []int64{1}}} {
		if got, err := s.at(0.5); err == nil {
			t.Errorf("%+v gave %+v, want an error", s, got)
		}
	}
}

// FuzzSplit: a split has the share that was asked for, no weight is out of
// bounds, and the others keep their proportion.
func FuzzSplit(f *testing.F) {
	f.Add(int64(1), int64(0), int64(0), int64(0), 20.0)
	f.Add(int64(36), int64(9), int64(5), int64(77), 0.5)
	f.Fuzz(func(t *testing.T, stable, canary, a, b int64, to float64) {
		bound := func(n int64) int64 { return int64(math.Abs(float64(n % (maxWeight + 1)))) }
		s := split{stable: bound(stable), canary: bound(canary)}
		if a != 0 {
			s.others = append(s.others, bound(a), bound(b))
		}
		got, err := s.at(to)
		if err != nil {
			return
		}
		share, err := got.share()
		if err != nil || math.Abs(share-to) > 2*tolerance {
			t.Errorf("%+v at %v gave %+v, a share of %v, %v", s, to, got, share, err)
		}
		for i, w := range append([]int64{got.stable, got.canary}, got.others...) {
			if w < 0 || w > maxWeight {
				t.Errorf("%+v at %v gave weight %d", s, to, w)
			}
			if i >= 2 {
				before := float64(s.others[i-2]) / float64(s.stable+s.canary)
				after := float64(w) / float64(got.stable+got.canary)
				if math.Abs(before-after) > 1e-9*math.Max(before, 1) {
					t.Errorf("%+v at %v gave %+v: another backend's proportion went from %v to %v", s, to, got, before, after)
				}
			}
		}
	})
}

// FuzzSnapshot: no snapshot makes writing it back panic, and what is written
// has no canary in it unless the snapshot had.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"router":"httpRoute","namespace":"n","route":"r","service":"s","canary":"c","rules":[{"index":0,"rest":{},"backendRefs":[{"name":"s"}]}]}`), []byte(`[{"backendRefs":[{"name":"s","weight":1},{"name":"c","weight":2}]}]`))
	f.Add([]byte(`{"router":"istio","namespace":"n","route":"r","service":"s","canary":"c","split":{"old":{"workload":{"namespace":"n"}}},"matches":[{"cookie":"c","value":"v"}],"rules":[]}`),
		[]byte(`[{"match":[{"uri":{"prefix":"/"}}],"route":[{"destination":{"host":"s.n.svc"},"weight":1},{"destination":{"host":"c","subset":"x"},"weight":2}]}]`))
	f.Add([]byte(`{"router":"httpRoute","namespace":"n","route":"r","service":"s","canary":"c","rules":[{"backendRefs":[1]}]}`), []byte(`[1]`))
	f.Fuzz(func(t *testing.T, was, rules []byte) {
		s, err := readSnapshot(was)
		if err != nil {
			return
		}
		var list []any
		if json.Unmarshal(rules, &list) != nil {
			return
		}
		for _, d := range []dialect{gatewayDialect{}, istioDialect{}} {
			u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": whole(list), "http": whole(list)}}}
			n := s.names(d)
			_, _ = n.share(u)
			_, _ = n.matching(u)
			if s.writeTo(u, n) == nil && bytes.Contains(canonical(u.Object), []byte(matchPrefix+s.Canary+"-1")) && !bytes.Contains(rules, []byte(matchPrefix)) {
				t.Errorf("%s has been made", matchPrefix)
			}
			_ = n.setShare(u, 20)
			_ = n.settle(u)
		}
	})
}
