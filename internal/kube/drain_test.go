package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func sleeping(seconds int64) map[string]any {
	return hook("sleep", map[string]any{"seconds": seconds})
}

// noted is a Deployment whose template says what Headgate has put there.
func noted(u *unstructured.Unstructured, seconds string) *unstructured.Unstructured {
	set(u.Object, seconds, "spec", "template", "metadata", "annotations", drainAnnotation)
	return u
}

func TestDrainOfPods(t *testing.T) {
	own := map[string]any{"name": "own", "lifecycle": hook("exec", map[string]any{})}
	a := func(seconds int64) map[string]any {
		return map[string]any{"name": "a", "lifecycle": sleeping(seconds)}
	}
	cases := []struct {
		name       string
		seconds    int
		have, want *unstructured.Unstructured
	}{
		{"none asked for", 0, podsOf(nil, map[string]any{"name": "a"}), podsOf(nil, map[string]any{"name": "a"})},
		{"none asked for any more", 0, noted(podsOf(int64(35), a(5)), "5"), noted(podsOf(int64(35), a(5)), "5")},
		{"no hook", 7, podsOf(nil, map[string]any{"name": "a"}), noted(podsOf(int64(37), a(7)), "7")},
		{"a hook of its own", 7, podsOf(int64(3), own), podsOf(int64(3), own)},
		{"a sleep of its own", 7, podsOf(int64(9), a(5)), podsOf(int64(9), a(5))},
		{"one of two", 7, podsOf(int64(3), own, map[string]any{"name": "a"}), noted(podsOf(int64(10), own, a(7)), "7")},
		{"ours", 5, noted(podsOf(int64(35), a(5)), "5"), noted(podsOf(int64(35), a(5)), "5")},
		{"ours, longer", 12, noted(podsOf(int64(35), a(5)), "5"), noted(podsOf(int64(42), a(12)), "12")},
		{"ours, shorter", 1, noted(podsOf(int64(35), a(5)), "5"), noted(podsOf(int64(31), a(1)), "1")},
		{"ours, changed by somebody", 7, noted(podsOf(int64(35), a(6)), "5"), noted(podsOf(int64(35), a(6)), "5")},
		{"ours, taken out by somebody", 7, noted(podsOf(int64(30), map[string]any{"name": "a"}), "5"), noted(podsOf(int64(37), a(7)), "7")},
		{
			"ours, and a new container", 7,
			noted(podsOf(int64(35), a(5), map[string]any{"name": "b"}), "5"),
			noted(podsOf(int64(37), a(7), map[string]any{"name": "b", "lifecycle": sleeping(7)}), "7"),
		},
		{"a note that makes no sense", 7, noted(podsOf(int64(30), a(5)), "soon"), noted(podsOf(int64(30), a(5)), "soon")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			drain(c.have, c.seconds)
			if diff := cmp.Diff(c.want.Object, c.have.Object); diff != "" {
				t.Errorf("drain (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCanaryWithADrainLosesItOnOldClusters(t *testing.T) {
	u := podsOf(int64(30), map[string]any{"name": "a"})
	drain(u, 9)
	linger(u)
	plain := hasty(u)
	if plain == nil || drained(plain) != 0 || gracePeriod(plain) != 30 || preStop(podContainers(plain)[0]) != nil {
		t.Errorf("left over: %v", plain)
	}
}

func TestHowLongHooksLast(t *testing.T) {
	command := func(words ...any) map[string]any {
		return map[string]any{"exec": map[string]any{"command": words}}
	}
	cases := []struct {
		name string
		hook map[string]any
		want int
	}{
		{"none", nil, 0},
		{"native", map[string]any{"sleep": map[string]any{"seconds": int64(8)}}, 8},
		{"of a manifest", map[string]any{"sleep": map[string]any{"seconds": float64(8)}}, 8},
		{"program", command("sleep", "10"), 10},
		{"path", command("/bin/sleep", "10s"), 10},
		{"shell", command("/bin/sh", "-c", "sleep 15"), 15},
		{"shell that does more", command("/bin/sh", "-c", "sleep 15; nginx -s quit"), 15},
		{"other program", command("nginx", "-s", "quit"), 1},
		{"no number", command("sleep", "infinity"), 1},
		{"nothing after it", command("sleep"), 1},
		{"no words", command(), 1},
		{"request", map[string]any{"httpGet": map[string]any{"path": "/end"}}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := lasts(c.hook); got != c.want {
				t.Errorf("lasts = %d, want %d", got, c.want)
			}
		})
	}
}
