package stages

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	reference "github.com/google/go-containerregistry/pkg/name"
)

// checksum is the SHA-256 of the manifests, "" where there are none.
func (r Release) checksum() string {
	if len(r.Manifests) == 0 {
		return ""
	}
	h := sha256.New()
	for _, m := range r.Manifests {
		h.Write(m)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ImageFor returns the image of the container that a release is for: the one
// it names, the only one, or the only one with an image of the same
// repository; "" where that does not tell.
func (l Live) ImageFor(r Release) string {
	if r.Container != "" {
		return l.Images[r.Container]
	}
	want, found, matches := repositoryOf(r.Image), "", 0
	for _, image := range l.Images {
		if len(l.Images) == 1 {
			return image
		}
		if repositoryOf(image) == want {
			found, matches = image, matches+1
		}
	}
	if matches != 1 {
		return ""
	}
	return found
}

// repositoryOf leaves out tag and digest.
func repositoryOf(image string) string {
	ref, err := reference.ParseReference(image)
	if err != nil {
		return image
	}
	return ref.Context().Name()
}

// Container is one of a workload's, as far as a release chooses among them.
type Container struct{ Name, Image string }

// ContainerOf returns the index of the container that the release's image is
// for: the one it names, else the only one with an image of the same
// repository, else the only one there is.
func (r Release) ContainerOf(all []Container) (int, error) {
	var names []string
	found := -1
	for i, c := range all {
		names = append(names, c.Name)
		switch {
		case r.Container != "":
			if c.Name == r.Container {
				return i, nil
			}
		case bare(c.Image) != bare(r.Image) && repositoryOf(c.Image) != repositoryOf(r.Image):
		case found >= 0:
			return 0, fmt.Errorf("both %s and %s have an image of %s; say which with the key container", names[found], c.Name, bare(r.Image))
		default:
			found = i
		}
	}
	switch {
	case r.Container != "":
		return 0, fmt.Errorf("there is no container %s, only %s", r.Container, strings.Join(names, ", "))
	case found >= 0:
		return found, nil
	case len(all) == 1:
		return 0, nil
	case len(all) == 0:
		return 0, errors.New("it has no containers")
	}
	return 0, fmt.Errorf("none of the containers %s has an image of %s; say which with the key container", strings.Join(names, ", "), bare(r.Image))
}

// bare is an image as its user wrote it, without tag and digest.
func bare(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

// maxName is the longest name of a Service and the longest label value.
const maxName = 63

// Suffixed appends suffix and keeps within the 63 characters of a name, by
// replacing what is too much by a checksum.
func Suffixed(s, suffix string) string {
	if len(s)+len(suffix) <= maxName {
		return s + suffix
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	sum := fmt.Sprintf("-%08x", h.Sum32())
	return strings.TrimRight(s[:maxName-len(suffix)-len(sum)], "-._") + sum + suffix
}
