package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// importPause gives containerd the image that every pod begins with.
func (c *cluster) importPause(ctx context.Context, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read pause program: %w", err)
	}
	archive, err := imageArchive(pauseImage, "pause", content)
	if err != nil {
		return err
	}
	path := c.path("pause.tar")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		return fmt.Errorf("write pause image: %w", err)
	}
	_, err = c.ctr(ctx, "images", "import", path)
	return err
}

// imageArchive makes an image, as docker save would write it, of one static
// program.
func imageArchive(tag, program string, content []byte) ([]byte, error) {
	layer, err := archive(archived{"usr/bin/" + program, content, 0o755})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/usr/bin/" + program}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(digest[:])}},
	})
	if err != nil {
		return nil, fmt.Errorf("make image %s: %w", tag, err)
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{tag}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, fmt.Errorf("make image %s: %w", tag, err)
	}
	return archive(
		archived{"layer.tar", layer, 0o644},
		archived{"config.json", config, 0o644},
		archived{"manifest.json", manifest, 0o644},
	)
}

type archived struct {
	name    string
	content []byte
	mode    int64
}

func archive(files ...archived) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: f.mode}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive files: %w", err)
	}
	return out.Bytes(), nil
}
