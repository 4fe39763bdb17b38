package stats_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/headgate-dev/headgate/gates/stats"
)

// vectors are reference numbers, computed by other programs in other ways:
// the distributions by a statistics library, the rest by a plain transcript of
// the formulas.
type vectors struct {
	SplitPMF []struct {
		NC, NS, M int64
		Psi       float64
		Lo        int64
		PMF       []float64
	} `json:"split_pmf"`
	AlphaSpending []struct {
		Alpha   float64
		Psi0    float64
		Planned int `json:"planned_looks"`
		Looks   []struct {
			NC, NS, EC, ES int64
			Cumulative     int64   `json:"cum_canary_errors"`
			Budget         float64 `json:"budget"`
			Boundary       *int64
			Tail           float64 `json:"tail_at_boundary"`
			Rollback       bool
		}
	} `json:"alpha_spending"`
	EProcess []struct {
		Rho0, Delta0 float64
		Looks        [][4]int64
		LogE         []float64 `json:"log_e"`
	} `json:"e_process"`
	Newcombe []struct {
		X, N, Y, M int64
		Upper      float64
	} `json:"newcombe_upper_95_one_sided"`
	MannWhitney []struct {
		Canary, Stable []float64
		P              float64
	} `json:"mann_whitney_exact_one_sided"`
	PlanTime []struct {
		PerSecond float64 `json:"req_per_s"`
		Share     float64
		Stable    float64
		Canary    float64
		Power     float64
		Plan      float64 `json:"plan_s"`
		T         *float64
	} `json:"plan_time_seconds"`
	Phi struct {
		N, E []int64
		Phi  float64
	} `json:"phi_from_history"`
}

func reference(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// near is whether two numbers agree to what the references were written with.
func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Max(1e-12, math.Abs(want))
}

func TestSplitAgreesWithReferences(t *testing.T) {
	for _, v := range reference(t).SplitPMF {
		lo, pmf := stats.SplitPMF(v.NC, v.NS, v.M, v.Psi)
		if lo != v.Lo {
			t.Errorf("SplitPMF(%d, %d, %d, %v) begins at %d, want %d", v.NC, v.NS, v.M, v.Psi, lo, v.Lo)
			continue
		}
		for i, want := range v.PMF {
			if !near(pmf[i], want, 1e-10) {
				t.Errorf("SplitPMF(%d, %d, %d, %v)[%d] = %.14g, want %.14g", v.NC, v.NS, v.M, v.Psi, i, pmf[i], want)
			}
		}
	}
}

func TestSpendingAgreesWithReferences(t *testing.T) {
	for i, v := range reference(t).AlphaSpending {
		c, err := stats.NewComparison(stats.Settings{Alpha: v.Alpha, Tolerance: v.Psi0, Planned: v.Planned})
		if err != nil {
			t.Fatal(err)
		}
		spent := 0.0
		for k, l := range v.Looks {
			budget := stats.Spending{Alpha: v.Alpha, Planned: v.Planned}.At(k+1) - spent
			if !near(budget, l.Budget, 1e-9) {
				t.Errorf("%d, look %d: budget %.14g, want %.14g", i, k+1, budget, l.Budget)
			}
			j := c.Add(k+1, stats.Look{Canary: stats.Arm{Requests: l.NC, Bad: l.EC}, Stable: stats.Arm{Requests: l.NS, Bad: l.ES}})
			want := int64(-1)
			if l.Boundary != nil {
				want = *l.Boundary
			}
			if j.Boundary != want || j.X != l.Cumulative || j.Crossed != l.Rollback {
				t.Errorf("%d, look %d: X %d of %d, crossed %v; want %d of %d, %v", i, k+1, j.X, j.Boundary, j.Crossed, l.Cumulative, want, l.Rollback)
			}
			if !near(j.Spent-spent, l.Tail, 1e-9) {
				t.Errorf("%d, look %d: spent %.14g, want %.14g", i, k+1, j.Spent-spent, l.Tail)
			}
			spent = j.Spent
		}
	}
}

func TestEvidenceAgreesWithReferences(t *testing.T) {
	for i, v := range reference(t).EProcess {
		e := stats.NewEvidence(stats.Null{Ratio: v.Rho0, Excess: v.Delta0}, stats.StartsOnce())
		for k, l := range v.Looks {
			e.Add(k+1, stats.Look{Canary: stats.Arm{Requests: l[0], Bad: l[2]}, Stable: stats.Arm{Requests: l[1], Bad: l[3]}})
			if !near(e.Log(), v.LogE[k], 1e-10) {
				t.Errorf("%d, look %d: log e = %.14g, want %.14g", i, k+1, e.Log(), v.LogE[k])
			}
		}
	}
}

func TestBoundsAndRanksAgreeWithReferences(t *testing.T) {
	v := reference(t)
	for _, n := range v.Newcombe {
		l := stats.Look{Canary: stats.Arm{Requests: n.N, Bad: n.X}, Stable: stats.Arm{Requests: n.M, Bad: n.Y}}
		// The references take 1.645 for the normal quantile 1.6448536.
		if got := stats.NewcombeUpper(l, 0.95); !near(got, n.Upper, 1e-4) {
			t.Errorf("NewcombeUpper(%+v) = %.12g, want %.12g", l, got, n.Upper)
		}
	}
	for _, m := range v.MannWhitney {
		if got := stats.MannWhitney(m.Canary, m.Stable); !near(got, m.P, 1e-10) {
			t.Errorf("MannWhitney(%v, %v) = %.12g, want %.12g", m.Canary, m.Stable, got, m.P)
		}
	}
	var bins []stats.Bin
	for i, n := range v.Phi.N {
		bins = append(bins, stats.Bin{Requests: n, Bad: v.Phi.E[i]})
	}
	if phi, ok := stats.Dispersion(bins); !ok || !near(phi, v.Phi.Phi, 1e-9) {
		t.Errorf("Dispersion = %v, %v, want %v", phi, ok, v.Phi.Phi)
	}
}

func TestPlanAgreesWithReferences(t *testing.T) {
	const dt = 15.0
	for _, v := range reference(t).PlanTime {
		p := stats.Plan{Requests: v.PerSecond * dt, Share: v.Share, Alpha: 0.01, Tolerance: 1, Planned: int(v.Plan / dt)}
		look, ok := stats.DetectionTime(p, v.Stable, v.Canary, v.Power)
		if ok != (v.T != nil) || ok && float64(look)*dt != *v.T {
			t.Errorf("DetectionTime(%+v, %v -> %v, %v) = %v s, %v", p, v.Stable, v.Canary, v.Power, float64(look)*dt, ok)
		}
	}
}
