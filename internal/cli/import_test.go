package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/importer"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

const importable = "../importer/testdata"

// Every form of a rollout becomes a file that Headgate takes, without a
// warning, and what is left out is said.
func TestImportedFilesAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(importable, "*.yaml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := importer.Import([]importer.Input{{Name: filepath.Base(path), Data: data}})
			if err != nil {
				t.Fatal(err)
			}
			golden.EqualFile(t, strings.TrimSuffix(path, ".yaml")+".out", got.File)
			for _, p := range invalid(got.File) {
				t.Errorf("%s:%d:%d: %s (%s)", path, p.Pos.Line, p.Pos.Col, p.Message, p.Hint)
			}
		})
	}
}

// invalid returns what is wrong with a pipeline file.
func invalid(text []byte) source.Problems {
	_, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: text}, cli.Grammar())
	return problems
}

// Whatever stands in a manifest, what is made of it is a valid file, or none.
func FuzzImportedFilesAreValid(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(importable, "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := importer.Import([]importer.Input{{Name: "in.yaml", Data: data}})
		if err != nil {
			return
		}
		for _, p := range invalid(got.File) {
			if p.Warning {
				continue
			}
			t.Fatalf("%d:%d: %s (%s)\n%s", p.Pos.Line, p.Pos.Col, p.Message, p.Hint, got.File)
		}
	})
}
