package flags_test

import (
	"testing"

	"github.com/headgate-dev/headgate/flags"
)

func TestRecordOn(t *testing.T) {
	// Bucket("new-checkout", "user-1") is 51929.
	const name = "new-checkout"
	in := flags.User("user-1")
	for _, tt := range []struct {
		name   string
		record string
		user   flags.Context
		want   bool
	}{
		{"all agree", `{"enabled":true,"rollout_percentage":100,"target_users":["user-1"],"target_attributes":{"plan":"pro"}}`, in.With("plan", "pro"), true},
		{"disabled wins", `{"enabled":false,"rollout_percentage":100,"target_users":["user-1"]}`, in, false},
		{"nobody at 0", `{"enabled":true,"rollout_percentage":0}`, in, false},
		{"everybody at 100", `{"enabled":true,"rollout_percentage":100}`, in, true},
		{"no key at 100", `{"enabled":true,"rollout_percentage":100}`, flags.Context{}, true},
		{"no key below 100", `{"enabled":true,"rollout_percentage":99.999}`, flags.Context{}, false},
		{"bucket at the threshold is off", `{"enabled":true,"rollout_percentage":51.929}`, in, false},
		{"bucket below the threshold is on", `{"enabled":true,"rollout_percentage":51.930}`, in, true},
		{"salt of the record", `{"enabled":true,"rollout_percentage":24,"salt":"a"}`, flags.User("😀"), true},
		{"target users narrow", `{"enabled":true,"rollout_percentage":100,"target_users":["user-2"]}`, in, false},
		{"target users do not widen", `{"enabled":true,"rollout_percentage":10,"target_users":["user-1"]}`, in, false},
		{"empty key is no target user", `{"enabled":true,"rollout_percentage":100,"target_users":[""]}`, flags.Context{}, false},
		{"missing attribute", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"plan":"pro"}}`, in, false},
		{"other attribute", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"plan":"pro"}}`, in.With("plan", "free"), false},
		{"one of two attributes", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"plan":"pro","beta":true}}`, in.With("plan", "pro"), false},
		{"both attributes", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"plan":"pro","beta":true}}`, in.With("plan", "pro").WithTruth("beta", true), true},
		{"any of a list", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"age":[20,30]}}`, in.WithNumber("age", 30), true},
		{"text is no number", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"age":30}}`, in.With("age", "30"), false},
		{"empty list matches nothing", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"age":[]}}`, in.WithNumber("age", 30), false},
		{"null targets mean none", `{"enabled":true,"rollout_percentage":100,"target_users":null,"target_attributes":null}`, in, true},
		{"fifth attribute", `{"enabled":true,"rollout_percentage":100,"target_attributes":{"e":"5"}}`, in.With("a", "1").With("b", "2").With("c", "3").With("d", "4").With("e", "5"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := flags.ParseRecord(name, []byte(tt.record))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.On(tt.user); got != tt.want {
				t.Errorf("got %v, want %v for %s", got, tt.want, tt.record)
			}
		})
	}
}

// Contexts made from one must not share what they add.
func TestContextIsAValue(t *testing.T) {
	base := flags.User("u").With("a", "1").With("b", "1").With("c", "1").With("d", "1").With("e", "1")
	x, y := base.With("f", "x"), base.With("f", "y")
	r, err := flags.ParseRecord("f", []byte(`{"enabled":true,"rollout_percentage":100,"target_attributes":{"f":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !r.On(x) || r.On(y) || r.On(base) {
		t.Errorf("got %v %v %v, want true false false", r.On(x), r.On(y), r.On(base))
	}
}
