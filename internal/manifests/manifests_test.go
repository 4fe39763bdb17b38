package manifests_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/manifests"
)

// write makes a folder of files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// kinds names what was read, in order.
func kinds(t *testing.T, objects []json.RawMessage) string {
	t.Helper()
	var names []string
	for _, raw := range objects {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		names = append(names, o.Kind+" "+o.Metadata.Name)
	}
	return strings.Join(names, ", ")
}

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
	service    = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	config     = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}`
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		paths []string
		want  string
		err   string
	}{
		{"a file of several documents", map[string]string{"all.yaml": "# first\n---\n" + deployment + "---\n# only a comment\n--- \n" + service + "...\n"}, []string{"all.yaml"}, "Service web, Deployment web", ""},
		{"a folder", map[string]string{"a.yaml": deployment, "b.yml": service, "c.json": config, "README.md": "x", ".hidden.yaml": "x", "sub/d.yaml": "x"}, []string{"."}, "ConfigMap web, Service web, Deployment web", ""},
		{"line ends of Windows", map[string]string{"a.yaml": strings.ReplaceAll(deployment+"---\n"+service, "\n", "\r\n")}, []string{"a.yaml"}, "Service web, Deployment web", ""},
		{"a list", map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(service), "\n", "\n  ")}, []string{"a.yaml"}, "Service web", ""},
		{"a kustomization", map[string]string{"kustomization.yaml": "namePrefix: eu-\nresources: [a.yaml]\n", "a.yaml": deployment}, []string{"."}, "Deployment eu-web", ""},
		{"three dashes in a text", map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  a: |\n    ---\n    b\n"}, []string{"a.yaml"}, "ConfigMap web", ""},
		{"the same object twice", map[string]string{"a.yaml": deployment, "b.yaml": deployment}, []string{"a.yaml", "b.yaml"}, "", "read manifests: Deployment web is in a.yaml and again in b.yaml"},
		{"no file", nil, []string{"gone.yaml"}, "", "read manifests: stat gone.yaml: no such file or directory"},
		{"an empty folder", map[string]string{"d/.keep": ""}, []string{"d"}, "", "read manifests: folder d: no manifests in it"},
		{"no object", map[string]string{"a.yaml": "just text\n"}, []string{"a.yaml"}, "", "read manifests: file a.yaml, document 1: it is not a Kubernetes object"},
		{"half an object", map[string]string{"a.yaml": service + "---\nkind: Pod\n"}, []string{"a.yaml"}, "", "read manifests: file a.yaml, document 2: it has no apiVersion, kind or metadata.name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(write(t, tc.files))
			objects, err := manifests.Read(tc.paths)
			switch {
			case tc.err != "" && (err == nil || err.Error() != tc.err):
				t.Errorf("got error %v, want %q", err, tc.err)
			case tc.err == "" && err != nil:
				t.Errorf("got error %v", err)
			case tc.err == "" && kinds(t, objects) != tc.want:
				t.Errorf("got %q, want %q", kinds(t, objects), tc.want)
			}
		})
	}
}

// No bytes make reading panic, and what is read are objects.
func FuzzRead(f *testing.F) {
	f.Add([]byte(deployment + "---\n" + service))
	f.Add([]byte("--- {}\n---\n- a\n...\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		objects, err := manifests.Read([]string{path})
		if err != nil {
			return
		}
		for _, o := range objects {
			if !json.Valid(o) {
				t.Errorf("not JSON: %q", o)
			}
		}
	})
}
