package stages

import (
	"crypto/sha256"
	"encoding/hex"

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
