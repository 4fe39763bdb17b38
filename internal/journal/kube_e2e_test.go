//go:build e2e

package journal_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/headgate-dev/headgate/internal/journal"
	"github.com/headgate-dev/headgate/internal/journal/journaltest"
	"github.com/headgate-dev/headgate/pipeline"
)

// wire is a client's way to the real API server, which can be cut.
type wire struct {
	next http.RoundTripper
	cut  *atomic.Bool
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, errors.New("connection refused")
	}
	return w.next.RoundTrip(r)
}

// cluster is the one that KUBECONFIG names.
func cluster(t *testing.T) (dynamic.Interface, *atomic.Bool) {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Skip("KUBECONFIG names no cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	must(t, err)
	cut := new(atomic.Bool)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return wire{next, cut} })
	return clientFor(t, config), cut
}

func clientFor(t *testing.T, config *rest.Config) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(config)
	must(t, err)
	return c
}

// namespace makes one for a test.
func namespace(t *testing.T) string {
	t.Helper()
	c, _ := cluster(t)
	namespaces := c.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetGenerateName("headgate-journal-")
	u, err := namespaces.Create(t.Context(), u, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		must(t, namespaces.Delete(context.Background(), u.GetName(), metav1.DeleteOptions{}))
	})
	return u.GetName()
}

func TestKubeOnACluster(t *testing.T) {
	ns := namespace(t)
	var n atomic.Int32
	journaltest.Suite{New: func(t *testing.T) journaltest.Place {
		name := fmt.Sprint("shop-", n.Add(1))
		var cuts []*atomic.Bool
		return journaltest.Place{
			Store: func() pipeline.Store {
				c, cut := cluster(t)
				cuts = append(cuts, cut)
				k, err := journal.NewKube(c, journal.KubeOptions{Namespace: ns, Pipeline: name, Lease: 5 * time.Second})
				must(t, err)
				return k
			},
			Break: func() {
				for _, cut := range cuts {
					cut.Store(true)
				}
			},
		}
	}}.Run(t)
}

func kubeStore(t *testing.T, ns string) (*journal.Kube, *atomic.Bool) {
	t.Helper()
	c, cut := cluster(t)
	k, err := journal.NewKube(c, journal.KubeOptions{Namespace: ns, Pipeline: "shop"})
	must(t, err)
	return k, cut
}

func TestKubeAppendIsQuickOnACluster(t *testing.T) {
	k, _ := kubeStore(t, namespace(t))
	j := open(t, k, "run-1")
	defer j.Close(t.Context(), 0)
	was, err := json.Marshal(strings.Repeat("spec: {a: b} ", 300)) // about a Deployment
	must(t, err)
	var times []time.Duration
	for i := range 200 {
		start := time.Now()
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Changing, Name: fmt.Sprint(i), Change: &pipeline.Record{Key: "k", Was: was}}))
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	t.Logf("append: median %s, 95th %s, longest %s", times[100], times[190], times[199])
	if times[100] > 100*time.Millisecond {
		t.Errorf("the median append took %s", times[100])
	}
	if got := names(t, k); len(got) != 200 || got[199] != "199" {
		t.Errorf("got %d entries", len(got))
	}
}

// TestKubeTellsLiveFromDeadOnACluster has a holder that lives for longer than
// its lease, and then one that was cut off for longer.
func TestKubeTellsLiveFromDeadOnACluster(t *testing.T) {
	ns := namespace(t)
	k, cut := kubeStore(t, ns)
	open(t, k, "run-1")
	time.Sleep(20 * time.Second)
	other, _ := kubeStore(t, ns)
	start := time.Now()
	_, err := other.Open(t.Context(), pipeline.Info{ID: "run-2", Pipeline: "shop"})
	if !errors.Is(err, pipeline.ErrLocked) || time.Since(start) > 5*time.Second {
		t.Fatalf("open while a live run holds the lock: got %v after %s", err, time.Since(start))
	}
	cut.Store(true)
	time.Sleep(19 * time.Second)
	start = time.Now()
	must(t, open(t, other, "run-2").Close(t.Context(), 0))
	took := time.Since(start)
	t.Logf("the lock of a run dead for 19s was taken in %s", took)
	if took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestKubeTakesTheLockOfAKilledProcessAtOnce starts this program again, which
// takes the lock, and kills it.
func TestKubeTakesTheLockOfAKilledProcessAtOnce(t *testing.T) {
	if ns := os.Getenv("JOURNAL_TEST_HOLD"); ns != "" {
		k, _ := kubeStore(t, ns)
		j := open(t, k, "run-1")
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.RunStarted}))
		fmt.Println("HELD")
		select {}
	}
	ns := namespace(t)
	c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), "JOURNAL_TEST_HOLD="+ns)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "HELD"; {
	}
	k, _ := kubeStore(t, ns)
	if _, err := k.Open(t.Context(), pipeline.Info{ID: "run-1"}); !errors.Is(err, pipeline.ErrLocked) {
		t.Fatalf("open while the process lives: got %v", err)
	}
	must(t, c.Process.Kill())
	_ = c.Wait()
	start := time.Now()
	j := open(t, k, "run-1")
	took := time.Since(start)
	t.Logf("the lock of a killed process was taken in %s", took)
	if took > time.Second || len(j.Events()) != 1 {
		t.Errorf("took %s, and found %d entries", took, len(j.Events()))
	}
	must(t, j.Close(t.Context(), 0))
}
