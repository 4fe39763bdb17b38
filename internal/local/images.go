package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// image is a [Program] as it was when it was made.
type image struct {
	// Name is the image's, without tag; Digest is sha256:….
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Program
	// Kept is the name of the program's file in the world's folder, "" for a
	// program that the machine has.
	Kept string `json:"kept,omitempty"`
}

func (i image) ref() string { return i.Name + "@" + i.Digest }

// images makes and finds them. Its state belongs to the world, whose lock is
// held where it is touched.
type images struct {
	dir      string
	programs map[string]Program
}

// UnmappedError reports an image that nothing is said to run in place of.
type UnmappedError struct {
	// Image is its name without tag.
	Image string
}

// Error names the image.
func (e *UnmappedError) Error() string {
	return "the file does not say what runs locally in place of image " + e.Image
}

// Hint names the key to add.
func (e *UnmappedError) Hint() string {
	return fmt.Sprintf("add local: {images: {%q: {command: [PROGRAM]}}}, or {skip: true} for a container that can be left out", e.Image)
}

// splitImage takes a reference apart.
func splitImage(ref string) (name, tag, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, digest
}

// program finds what runs in place of an image.
func (s *images) program(name, tag string) (Program, error) {
	if p, ok := s.programs[name+":"+tag]; ok && tag != "" {
		return p, nil
	}
	if p, ok := s.programs[name]; ok {
		return p, nil
	}
	return Program{}, &UnmappedError{Image: name}
}

// skips reports whether all containers of pods are left out, so that there is
// nothing to run.
func (s *images) skips(spec corev1.PodSpec) bool {
	for _, c := range spec.Containers {
		name, tag, _ := splitImage(c.Image)
		if p, err := s.program(name, tag); err != nil || !p.Skip {
			return false
		}
	}
	return true
}

// make makes the image of a name as it is now: the same program gives the same
// digest.
func (s *images) make(name, tag string) (image, error) {
	p, err := s.program(name, tag)
	if err != nil {
		return image{}, err
	}
	i := image{Name: name, Program: p}
	content := ""
	var file string
	if !p.Skip {
		if file, err = programFile(p); err != nil {
			return image{}, err
		}
		if ours(p.Command[0]) {
			if content, err = hashFile(file); err != nil {
				return image{}, fmt.Errorf("read program %s: %w", p.Command[0], err)
			}
		}
	}
	text, err := json.Marshal(struct {
		Name    string
		Program Program
		Content string
	}{name, p, content})
	if err != nil {
		return image{}, fmt.Errorf("make image %s: %w", name, err)
	}
	sum := sha256.Sum256(text)
	i.Digest = "sha256:" + hex.EncodeToString(sum[:])
	if content != "" {
		i.Kept = filepath.Join(hex.EncodeToString(sum[:8]), filepath.Base(file))
		if err := s.keep(file, i.Kept, content); err != nil {
			return image{}, err
		}
	}
	return i, nil
}

// ours reports whether a program is a file of the user's, and not one that the
// machine has.
func ours(program string) bool { return strings.ContainsAny(program, `/\`) }

// self is the name of the program that this is, wherever it was installed.
const self = "headgate"

// programFile is where the program of an image is.
func programFile(p Program) (string, error) {
	if len(p.Command) == 0 || p.Command[0] == "" {
		return "", errors.New("no command is given")
	}
	if p.Command[0] == self {
		return os.Executable()
	}
	program := filepath.FromSlash(p.Command[0])
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("find program %s: %w", p.Command[0], reasonOf(err))
	}
	return filepath.Abs(path)
}

// reasonOf leaves out the name that is said already.
func reasonOf(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", reasonOf(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", reasonOf(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// keep copies a program into the world's folder, whole or not at all.
func (s *images) keep(from, name, content string) error {
	to := filepath.Join(s.dir, name)
	if have, err := hashFile(to); err == nil && have == content {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".new-")
	if err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	err = errors.Join(err, out.Chmod(0o700), out.Sync(), out.Close())
	if err == nil && hex.EncodeToString(h.Sum(nil)) != content {
		err = fmt.Errorf("%s changed while it was read", from)
	}
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return fmt.Errorf("keep program: %w", err)
	}
	return nil
}

// args are what to run for an image, before anything in it is expanded.
func (s *images) args(i image) []string {
	out := slices.Clone(i.Command)
	if i.Kept != "" {
		out[0] = filepath.Join(s.dir, i.Kept)
	} else if own, err := os.Executable(); err == nil && out[0] == self {
		out[0] = own
	}
	return out
}

// sweep removes programs that no image has.
func (s *images) sweep(used map[string]image) {
	keep := map[string]bool{}
	for _, i := range used {
		if i.Kept != "" {
			keep[filepath.Dir(i.Kept)] = true
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			_ = os.RemoveAll(filepath.Join(s.dir, e.Name())) // it is tried again the next time
		}
	}
}

var (
	_ stages.ImageBuilder = (*World)(nil)
	_ stages.Registry     = (*World)(nil)
)

// CheckImage reports an image without a program.
func (w *World) CheckImage(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := w.images.program(name, "")
	if err != nil {
		if _, tagged := w.taggedProgram(name); tagged {
			return nil
		}
		return err
	}
	if p.Skip {
		return fmt.Errorf("image %s is built, and local.images says to skip it", name)
	}
	if _, err := programFile(p); err != nil && !ours(p.Command[0]) {
		return fmt.Errorf("image %s: %w", name, err)
	}
	return nil // a file of the user's may still have to be built
}

// SetPrograms says what runs in place of images that are made from now on, for
// the next of several releases to one world.
func (w *World) SetPrograms(programs map[string]Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images.programs = programs
}

func (w *World) taggedProgram(name string) (Program, bool) {
	for k, p := range w.images.programs {
		if n, tag, _ := splitImage(k); n == name && tag != "" {
			return p, true
		}
	}
	return Program{}, false
}

// BuildImage makes an image of the section's program.
func (w *World) BuildImage(ctx context.Context, name, tag string) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i, err := w.images.make(name, tag)
	if err != nil {
		return "", err
	}
	return i.Digest, w.change(func(s *state) error {
		s.Images[i.ref()] = i
		s.Tags[name+":"+tag] = i.ref()
		return nil
	})
}

// Resolve finds an image by digest, or by a tag that a build has given it. An
// image that no build has made is made now, if the section says of what.
func (w *World) Resolve(ctx context.Context, ref string) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name, tag, digest := splitImage(ref)
	if digest != "" {
		if _, ok := w.state.Images[name+"@"+digest]; ok {
			return name + "@" + digest, nil
		}
		return "", &noImageError{ref}
	}
	if tag == "" {
		tag = "latest"
	}
	if found, ok := w.state.Tags[name+":"+tag]; ok {
		return found, nil
	}
	i, err := w.images.make(name, tag)
	if err != nil {
		return "", err
	}
	if _, ok := w.state.Images[i.ref()]; ok {
		return i.ref(), nil
	}
	return i.ref(), w.change(func(s *state) error {
		s.Images[i.ref()] = i
		return nil
	})
}

// noImageError reports a digest that nothing made here has.
type noImageError struct{ ref string }

func (e *noImageError) Error() string {
	return "find image " + e.ref + ": no image with this digest was made on this machine"
}

// Hint says what makes one.
func (e *noImageError) Hint() string {
	return "images of a registry cannot run here; name it by tag, or let a build stage make it"
}
