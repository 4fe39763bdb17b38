package gatebench

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// Random is the source of a run: the same for the same scenario and number.
func Random(name string, run int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash cannot fail
	return rand.New(rand.NewPCG(h.Sum64(), uint64(run)))
}

// few is the mean up to which a number is drawn by counting up; above it, by
// Hörmann's transformed rejection, which takes the same time for any mean.
const few = 10

// Poisson draws a number of independent events with a mean.
func Poisson(r *rand.Rand, mean float64) int64 {
	if mean <= 0 {
		return 0
	}
	if mean < few {
		k, p := int64(0), r.Float64()
		for limit := math.Exp(-mean); p > limit; k++ {
			p *= r.Float64()
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	quick, scale, log := 0.9277-3.6224/(b-2), math.Log(1.1239+1.1328/(b-3.4)), math.Log(mean)
	for {
		u, v := r.Float64()-0.5, 1-r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		switch {
		case us >= 0.07 && v <= quick:
			return int64(k)
		case k < 0 || us < 0.013 && v > us:
		case math.Log(v)+scale-math.Log(a/(us*us)+b) <= k*log-mean-logFactorial(k):
			return int64(k)
		}
	}
}

// Binomial draws how many of n things happen that each have the chance p.
func Binomial(r *rand.Rand, n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - Binomial(r, n, 1-p)
	case float64(n)*p < few:
		return counted(r, n, p)
	}
	all := float64(n)
	sd := math.Sqrt(all * p * (1 - p))
	b := 1.15 + 2.53*sd
	a := -0.0873 + 0.0248*b + 0.01*p
	quick, scale, odds := 0.92-4.2/b, (2.83+5.1/b)*sd, math.Log(p/(1-p))
	mode := math.Floor((all + 1) * p)
	top := logFactorial(mode) + logFactorial(all-mode)
	for {
		u, v := r.Float64()-0.5, 1-r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + all*p + 0.5)
		switch {
		case us >= 0.07 && v <= quick:
			return int64(k)
		case k < 0 || k > all:
		case math.Log(v*scale/(a/(us*us)+b)) <= top-logFactorial(k)-logFactorial(all-k)+(k-mode)*odds:
			return int64(k)
		}
	}
}

// counted sums the gaps between events until n is used up.
func counted(r *rand.Rand, n int64, p float64) int64 {
	var k int64
	miss, at := math.Log1p(-p), 0.0
	for {
		at += math.Floor(math.Log(1-r.Float64())/miss) + 1
		if at > float64(n) {
			return k
		}
		k++
	}
}

// geometric draws a number of at least 1 with a mean above 1.
func geometric(r *rand.Rand, mean float64) int64 {
	return 1 + int64(math.Log(1-r.Float64())/math.Log(1-1/mean))
}

func logFactorial(k float64) float64 {
	v, _ := math.Lgamma(k + 1)
	return v
}
