package stages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// readSmall reads a file that a tool wrote for us, to at most 1 MiB.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// readDigest reads the digest file of podman and buildah.
func readDigest(path string) (string, error) {
	data, err := readSmall(path)
	if err != nil {
		return "", fmt.Errorf("read digest: %w", err)
	}
	return checkDigest(strings.TrimSpace(string(data)))
}

// readMetadata reads the digest from the metadata file of docker buildx.
func readMetadata(path string) (string, error) {
	data, err := readSmall(path)
	if err != nil {
		return "", fmt.Errorf("read build metadata: %w", err)
	}
	var meta struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return "", fmt.Errorf("read build metadata: %w", err)
	}
	return checkDigest(meta.Digest)
}

func checkDigest(text string) (string, error) {
	if !wholeDigest().MatchString(text) {
		return "", errors.New("read digest: the tool wrote none")
	}
	return text, nil
}
