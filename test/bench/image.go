package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// pushImages makes two releases of the example service and returns them by
// digest.
func pushImages(ctx context.Context, root, dir string) ([]string, error) {
	registry := os.Getenv("HEADGATE_TEST_REGISTRY")
	if registry == "" {
		return nil, fmt.Errorf("HEADGATE_TEST_REGISTRY is not set: where do images go?")
	}
	binary := filepath.Join(dir, "user-service")
	if err := build(ctx, root, binary, "./examples/ecommerce/user-service"); err != nil {
		return nil, err
	}
	program, err := layer(binary)
	if err != nil {
		return nil, err
	}
	var images []string
	for _, release := range []string{"one", "two"} {
		ref, err := push(ctx, registry+"/bench/user-service", release, program)
		if err != nil {
			return nil, fmt.Errorf("push image %s: %w", release, err)
		}
		images = append(images, ref)
	}
	return images, nil
}

// layer holds a program and nothing else.
func layer(path string) (v1.Layer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	if err := archive.WriteHeader(&tar.Header{Name: "user-service", Mode: 0o755, Size: int64(len(b))}); err != nil {
		return nil, err
	}
	if _, err := archive.Write(b); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
}

func push(ctx context.Context, repository, release string, program v1.Layer) (string, error) {
	image, err := mutate.AppendLayers(empty.Image, program)
	if err != nil {
		return "", err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return "", err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Entrypoint: []string{"/user-service"}, User: "65532:65532", Env: []string{"VERSION=" + release}}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return "", err
	}
	tag, err := name.NewTag(repository+":"+release, name.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, image, remote.WithContext(ctx)); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return repository + "@" + digest.String(), err
}
