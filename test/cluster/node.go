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
	"path/filepath"
	"runtime"
	"strings"
)

const (
	gatewayGroup     = "gateway.networking.k8s.io"
	gatewayClassPath = "/apis/" + gatewayGroup + "/v1/gatewayclasses/traefik"
	gatewayPath      = "/apis/" + gatewayGroup + "/v1/namespaces/default/gateways/headgate"
	crdPath          = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
)

// applyGatewayAPI brings the Gateway API's resource definitions into the
// cluster, and then the one Gateway.
func (c *cluster) applyGatewayAPI(ctx context.Context) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	files, err := c.gatewayCRDs(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read resource definition: %w", err)
		}
		name := crdName(filepath.Base(file))
		if err := client.Apply(ctx, crdPath+name, content); err != nil {
			return err
		}
		names = append(names, name)
	}
	for _, name := range names {
		established := part{name: "gateway-api", needs: []string{"apiserver"}, ready: c.condition(crdPath+name, "Established")}
		if err := c.wait(ctx, established, nil); err != nil {
			return err
		}
	}
	for _, object := range []struct{ template, path string }{
		{"gatewayclass.yaml", gatewayClassPath}, {"gateway.yaml", gatewayPath},
	} {
		content, err := render(object.template, c.settings())
		if err != nil {
			return err
		}
		if err := client.Apply(ctx, object.path, content); err != nil {
			return err
		}
	}
	return nil
}

// crdName gets a resource definition's name from its file's: GROUP_PLURAL.yaml
// holds PLURAL.GROUP.
func crdName(file string) string {
	group, plural, _ := strings.Cut(strings.TrimSuffix(file, ".yaml"), "_")
	return plural + "." + group
}

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
