// Package image builds both container images with buildah, on Debian's
// packages in place of a registry's base images, and runs pipelines in them.
package image
