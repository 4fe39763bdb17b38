package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

func TestImageArchiveDescribesItsLayer(t *testing.T) {
	image, err := imageArchive("localhost/a:1", "pause", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, image)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
		Config struct{ Entrypoint []string }
	}
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := files[manifest[0].Layers[0]]
	digest := sha256.Sum256(layer)
	if got, want := config.RootFS.DiffIDs[0], "sha256:"+hex.EncodeToString(digest[:]); got != want {
		t.Errorf("got layer %s, want %s", got, want)
	}
	program := config.Config.Entrypoint[0]
	if got := string(unpack(t, layer)[program[1:]]); got != "program" {
		t.Errorf("got %q at %s, want the program", got, program)
	}
	if got := manifest[0].RepoTags[0]; got != "localhost/a:1" {
		t.Errorf("got tag %s, want localhost/a:1", got)
	}
}

func unpack(t *testing.T, content []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
