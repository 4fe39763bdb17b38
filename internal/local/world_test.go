package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/internal/proc/keeper"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// appVariable makes the test's own binary the application that pods run.
const appVariable = "LOCAL_TEST_APP"

func TestMain(m *testing.M) {
	keeper.Main()
	if os.Getenv(appVariable) != "" {
		if err := app(os.Getenv); err != nil {
			fmt.Println("error:", err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	// With -race, each process that we start would wait a second at its end.
	if os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// app is a small service that says its version.
func app(getenv func(string) string) error {
	switch getenv("FATE") {
	case "crash":
		return errors.New("cannot read the schema")
	case "stuck":
		http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	default:
		http.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.URL.Query().Get("for")); err == nil {
			time.Sleep(d)
		}
		fmt.Fprintf(w, "%s %s %s", getenv("VERSION"), getenv("HEADGATE_LOCAL_TRACK"), getenv("GREETING"))
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE app_requests_total counter\napp_requests_total{version=%q} 1\n", getenv("VERSION"))
	})
	server := &http.Server{Addr: getenv("ADDRESS"), ReadHeaderTimeout: time.Minute}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close() // as most do: without grace
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

const manifestsText = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop, labels: {app: NAME}}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, tier: backend}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: NAME
        image: r.example/NAME:1
        ports: [{containerPort: 8000, name: http}]
        env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: NAME-config, key: greeting}}}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME-config, namespace: shop}
data: {greeting: hello}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: NAME, namespace: shop}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [NAME.localhost]
  rules:
  - backendRefs: [{name: NAME, port: 80}]
`

func manifestsOf(t *testing.T, name string) []json.RawMessage {
	t.Helper()
	var out []json.RawMessage
	for doc := range strings.SplitSeq(strings.ReplaceAll(manifestsText, "NAME", name), "\n---\n") {
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// programs maps the images of the tests: name:tag to a version of the app. It
// is this very program, which is not copied; the tests of images copy theirs.
func programs() map[string]local.Program {
	out := map[string]local.Program{}
	for _, name := range []string{"user", "fresh"} {
		for _, v := range []string{"1", "2", "crash", "stuck"} {
			out["r.example/"+name+":"+v] = local.Program{Command: []string{"headgate"}, Env: [][2]string{
				{appVariable, "1"}, {"VERSION", v}, {"FATE", v}, {"ADDRESS", "127.0.0.1:$(PORT)"},
			}}
		}
	}
	out["r.example/user:gone"] = local.Program{Command: []string{"./not-there"}}
	return out
}

// options are those of a test's world.
func options(t *testing.T) local.Options {
	t.Helper()
	return local.Options{
		Dir: t.TempDir(), Programs: programs(), Namespace: "shop", ScrapeInterval: 100 * time.Millisecond,
		Report: func(line string) { t.Log(line) },
	}
}

func open(t *testing.T, o local.Options) *local.World {
	t.Helper()
	w, err := local.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// image resolves an image of the tests by its tag.
func image(t *testing.T, w *local.World, ref string) string {
	t.Helper()
	out, err := w.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func info(id string) pipeline.Info { return pipeline.Info{ID: id, Pipeline: "user-service"} }

func workload(name string) stages.Workload { return stages.Workload{Namespace: "shop", Name: name} }

func track(name, of string) stages.Track { return stages.Track{Workload: workload(name), Name: of} }

// deploy makes a workload as a run called 0 that is long past.
func deploy(t *testing.T, w *local.World, name string, replicas int) {
	t.Helper()
	r := stages.Release{Image: image(t, w, "r.example/"+name+":1"), Manifests: manifestsOf(t, name), Run: info("first")}
	stable := track(name, stages.Stable)
	for _, id := range []string{"first", "0"} {
		r.Run = info(id)
		if err := w.SetTrack(t.Context(), stable, r, replicas); err != nil {
			t.Fatal(err)
		}
	}
	ready(t, w, stable, replicas)
}

func ready(t *testing.T, w *local.World, tr stages.Track, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.AwaitReady(ctx, tr, n, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
}

// ask sends one request through the proxy.
func ask(t *testing.T, w *local.World, host string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.ProxyURL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return string(body)
}
