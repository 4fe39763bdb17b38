package imports_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/headgate-dev/headgate"

// ours says which of our packages each of our packages may import. A rule
// holds for the package and all below it, and the longest one that fits
// counts; what lies within one rule may import each other. "..." stands for
// all.
var ours = map[string][]string{
	"cmd/headgate":        {"internal/cli", "internal/start"},
	"internal/start":      {},
	"pipeline/source":     {},
	"pipeline":            {"pipeline/source"},
	"gates":               {"pipeline", "pipeline/source"},
	"stages":              {"gates", "pipeline", "pipeline/source"},
	"stages/portstest":    {"stages", "gates", "pipeline", "pipeline/source"},
	"internal/load":       {},
	"internal/demo":       {"internal/load", "pipeline", "pipeline/source"},
	"internal/redact":     {},
	"internal/golden":     {},
	"internal/manifests":  {},
	"internal/importer":   {"pipeline/source"},
	"internal/repository": {},
	"internal/imports":    {},
	"internal/report":     {"pipeline", "pipeline/source", "internal/redact"},
	"internal/scenario":   {"stages", "gates", "pipeline", "pipeline/source"},
	"internal/kube":       {"stages", "gates", "pipeline", "pipeline/source"},
	"internal/local":      {"stages", "gates", "pipeline", "pipeline/source", "internal/proc/keeper", "internal/proc/lines"},
	"internal/prom":       {"gates", "pipeline", "pipeline/source"},
	"internal/proc":       {"stages", "gates", "pipeline", "pipeline/source"},
	"internal/registry":   {"stages", "gates", "pipeline", "pipeline/source"},
	"internal/flagstore":  {"stages", "gates", "pipeline", "pipeline/source", "flags"},
	"internal/ofrep":      {"flags"},
	"internal/journal":    {"pipeline", "pipeline/source", "internal/kube"},
	"internal/route":      {"stages", "gates", "pipeline", "pipeline/source", "internal/kube"},
	"internal/cli":        {"..."},
	"examples":            {"flags"},
	"test":                {"..."},
}

// adapters are the packages that only wire.go of internal/cli may choose.
var adapters = []string{
	"internal/kube", "internal/local", "internal/route", "internal/prom", "internal/proc",
	"internal/registry", "internal/flagstore", "internal/journal", "internal/manifests",
}

// theirs says which of our packages may import a module of others; all that
// is not named here is free.
var theirs = map[string][]string{
	"gopkg.in/yaml.v3":                           {"pipeline/source"},
	"go.yaml.in/yaml/v3":                         {},
	"k8s.io":                                     {"internal/kube", "internal/local", "internal/route", "internal/journal"}, // internal/local: types only
	"k8s.io/client-go":                           {"internal/kube", "internal/route", "internal/journal"},
	"sigs.k8s.io":                                {"internal/kube", "internal/local", "internal/route", "internal/journal", "internal/manifests", "internal/importer"},
	"k8s.io/client-go/kubernetes":                {},
	"cel.dev/cel-go":                             {"pipeline"},
	"github.com/spf13/cobra":                     {"internal/cli"},
	"github.com/sethvargo/go-githubactions":      {"internal/report"},
	"github.com/google/go-containerregistry":     {"internal/registry", "stages"},
	"charm.land":                                 {"internal/report"},
	"github.com/charmbracelet":                   {"internal/report"},
	"github.com/creack/pty":                      {},
	"github.com/prometheus/client_golang/api":    {"internal/prom"},
	"github.com/prometheus/prometheus":           {"gates", "internal/local"},
	"github.com/json-iterator/go":                {"internal/local"},                 // Prometheus' numbers are written by it
	"github.com/redis/go-redis/v9":               {"examples", "internal/flagstore"}, // there to silence its log
	"github.com/alicebob/miniredis/v2":           {"internal/local"},
	"github.com/rhysd/actionlint":                {},
	"github.com/google/go-cmp":                   {"internal/golden", "stages/portstest", "internal/journal/journaltest"},
	"github.com/stretchr/testify":                {},
	"github.com/rogpeppe/go-internal/testscript": {},
}

// kept are packages that must not get into the binary by any way ("/..." is for
// all below), since it is downloaded by every job and starts in each: the
// typed clients of Kubernetes, of Prometheus what is not needed for scraping,
// storing and PromQL, and the SDKs of clouds. golang.org/x/net/trace calls a template, and
// with it the linker keeps every method of every type.
var kept = []string{
	"cloud.google.com/go/auth/...",
	"encoding/gob",
	"github.com/AzureAD/...",
	"github.com/Azure/azure-sdk-for-go/sdk/internal/...",
	"github.com/aws/...",
	"github.com/google/s2a-go/...",
	"github.com/googleapis/...",
	"google.golang.org/api/internal/...",
	"google.golang.org/grpc/...",
	"k8s.io/client-go/kubernetes",
	"github.com/prometheus/prometheus/discovery/install",
	"github.com/prometheus/prometheus/notifier",
	"github.com/prometheus/prometheus/rules",
	"github.com/prometheus/prometheus/storage/remote",
	"github.com/prometheus/prometheus/web/api/v1",
	"golang.org/x/net/trace",
}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// list runs go list in the folder dir of the repository.
func list(t *testing.T, dir string, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Dir,GoFiles,Imports"}, args...)...)
	cmd.Dir = filepath.Join("..", "..", filepath.FromSlash(dir))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// rule returns the longest key of rules that p lies within.
func rule(rules map[string][]string, p string) (key string, ok bool) {
	for k := range rules {
		if within(p, k) && (!ok || len(k) > len(key)) {
			key, ok = k, true
		}
	}
	return key, ok
}

func TestOurPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, p := range list(t, ".", "./...") {
		self, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue
		}
		key, ok := rule(ours, self)
		if !ok {
			t.Errorf("%s has no rule: say in this test what it may import", self)
			continue
		}
		for _, imported := range p.Imports {
			dep, ok := strings.CutPrefix(imported, module+"/")
			if !ok || within(dep, key) { // one idea, in several packages
				continue
			}
			may := ours[key]
			if !slices.Contains(may, "...") && !slices.ContainsFunc(may, func(m string) bool { return dep == m || m == "flags" && within(dep, m) }) {
				t.Errorf("%s imports %s, and may only import %q", self, dep, may)
			}
		}
	}
}

func TestModulesOfOthersStayWhereTheyBelong(t *testing.T) {
	for _, p := range list(t, ".", "./...") {
		self, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue
		}
		for _, imported := range p.Imports {
			key, ok := rule(theirs, imported)
			if ok && !slices.ContainsFunc(theirs[key], func(m string) bool { return within(self, m) }) {
				t.Errorf("%s imports %s, which is only for %q", self, imported, theirs[key])
			}
		}
	}
}

func TestOnlyWireChoosesAdapters(t *testing.T) {
	for _, p := range list(t, ".", "./internal/cli/...") {
		for _, name := range p.GoFiles {
			if path.Base(p.ImportPath) == "cli" && (name == "wire.go" || name == "wire_manifests.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				dep := strings.TrimPrefix(imported, module+"/")
				if slices.ContainsFunc(adapters, func(a string) bool { return within(dep, a) }) {
					t.Errorf("internal/cli/%s imports %s: only wire.go chooses adapters", name, dep)
				}
			}
		}
	}
}

func TestTheBinaryStaysSmall(t *testing.T) {
	for _, p := range list(t, ".", "-deps", "./cmd/headgate") {
		if slices.ContainsFunc(kept, func(k string) bool {
			root, all := strings.CutSuffix(k, "/...")
			return p.ImportPath == root || all && within(p.ImportPath, root)
		}) {
			t.Errorf("cmd/headgate depends on %s", p.ImportPath)
		}
	}
}

func TestFlagsNeedsRedisAndNothingElse(t *testing.T) {
	for _, p := range list(t, "flags", "./...") {
		if within(p.ImportPath, module+"/flags/openfeature") {
			continue
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			own := within(imported, module+"/flags")
			if strings.Contains(first, ".") && !own && !within(imported, "github.com/redis/go-redis/v9") {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}
