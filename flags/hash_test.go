package flags_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/headgate-dev/headgate/flags"
)

func TestBucketAgreesWithVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Salt, Key string
			Bucket    int
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 60 {
		t.Fatalf("got %d vectors, want 60 or more", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		if got := flags.Bucket(v.Salt, v.Key); got != v.Bucket {
			t.Errorf("Bucket(%q, %q): got %d, want %d", v.Salt, v.Key, got, v.Bucket)
		}
	}
}

// Whoever is in at some percentage is in at every greater one.
func TestRampLosesNobody(t *testing.T) {
	percentages := []float64{0, 0.001, 0.1, 1, 5, 12.5, 50, 99.999, 100}
	for user := range 5_000 {
		before := false
		for _, p := range percentages {
			r := flags.Record{Name: "ramp", Enabled: true, Percentage: p}
			on := r.On(flags.User(fmt.Sprint("user-", user)))
			if before && !on {
				t.Fatalf("user %d was on below %v %% and is off there", user, p)
			}
			before = on
		}
		if !before {
			t.Fatalf("user %d is off at 100 %%", user)
		}
	}
}

// Two flags at 10 % share about 1 % of the users, also with keys in sequence.
func TestFlagsAreIndependent(t *testing.T) {
	const users, names = 20_000, 8
	in := make([][]bool, names)
	for f := range in {
		in[f] = make([]bool, users)
		share := 0
		for u := range users {
			in[f][u] = flags.Bucket(fmt.Sprint("flag-", f), fmt.Sprint(u)) < flags.Buckets/10
			if in[f][u] {
				share++
			}
		}
		if sd := math.Sqrt(users * 0.1 * 0.9); math.Abs(float64(share)-users*0.1) > 5*sd {
			t.Errorf("flag %d: got %d of %d users, want about a tenth", f, share, users)
		}
	}
	for a := range names {
		for b := range a {
			both := 0
			for u := range users {
				if in[a][u] && in[b][u] {
					both++
				}
			}
			if sd := math.Sqrt(users * 0.01 * 0.99); math.Abs(float64(both)-users*0.01) > 5*sd {
				t.Errorf("flags %d and %d share %d users, want about %d", a, b, both, users/100)
			}
		}
	}
}
