package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func imagesOf(t *testing.T, programs map[string]Program) *images {
	t.Helper()
	return &images{dir: filepath.Join(t.TempDir(), "images"), programs: programs}
}

func program(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}

func TestImageIsWhatItWasWhenItWasMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.exe")
	program(t, file, "one")
	s := imagesOf(t, map[string]Program{"r/app": {Command: []string{file, "--flag"}}})
	first, err := s.make("r/app", "v1")
	if err != nil {
		t.Fatal(err)
	}
	same, err := s.make("r/app", "v2")
	if err != nil || same.Digest != first.Digest {
		t.Errorf("got %s, %v for the same program, want %s", same.Digest, err, first.Digest)
	}
	program(t, file, "two")
	second, err := s.make("r/app", "v2")
	if err != nil || second.Digest == first.Digest {
		t.Errorf("got %s, %v for another program", second.Digest, err)
	}
	for i, want := range map[*image]string{&first: "one", &second: "two"} {
		args := s.args(*i)
		text, err := os.ReadFile(args[0])
		if err != nil || string(text) != want || args[1] != "--flag" {
			t.Errorf("%s runs %v with %q, %v, want %q", i.Digest, args, text, err, want)
		}
	}
	s.sweep(map[string]image{second.ref(): second})
	if _, err := os.Stat(s.args(first)[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for a program that no image has, want it gone", err)
	}
}

func TestDigestIsOfAllThatRuns(t *testing.T) {
	base := Program{Command: []string{"sh", "-c", "true"}, Env: [][2]string{{"A", "1"}}}
	digests := map[string]string{}
	for name, change := range map[string]func(p *Program){
		"base": func(*Program) {},
		"args": func(p *Program) { p.Args = []string{"x"} },
		"none": func(p *Program) { p.Args = []string{} },
		"env":  func(p *Program) { p.Env = [][2]string{{"A", "2"}} },
		"dir":  func(p *Program) { p.Dir = "/" },
		"more": func(p *Program) { p.Command = []string{"sh", "-c", "false"} },
	} {
		p := base
		change(&p)
		i, err := imagesOf(t, map[string]Program{"r/app": p}).make("r/app", "1")
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := digests[i.Digest]; twice {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		digests[i.Digest] = name
	}
}

func TestProgramOfATagWinsOverThatOfTheName(t *testing.T) {
	s := imagesOf(t, map[string]Program{"h:5000/app": {Command: []string{"sh"}}, "h:5000/app:old": {Command: []string{"cat"}}})
	for tag, want := range map[string]string{"old": "cat", "new": "sh", "": "sh"} {
		if p, err := s.program("h:5000/app", tag); err != nil || p.Command[0] != want {
			t.Errorf("tag %q: got %v, %v, want %s", tag, p.Command, err, want)
		}
	}
	_, err := s.program("h:5000/other", "old")
	var unmapped *UnmappedError
	if !errors.As(err, &unmapped) || !strings.Contains(unmapped.Hint(), `local: {images: {"h:5000/other"`) {
		t.Errorf("got %v, want the key to add", err)
	}
}

func TestSplitImage(t *testing.T) {
	for ref, want := range map[string][3]string{
		"app":                     {"app", "", ""},
		"h:5000/app":              {"h:5000/app", "", ""},
		"h:5000/app:v1":           {"h:5000/app", "v1", ""},
		"h:5000/app@sha256:1":     {"h:5000/app", "", "sha256:1"},
		"h:5000/app:v1@sha256:12": {"h:5000/app", "v1", "sha256:12"},
	} {
		name, tag, digest := splitImage(ref)
		if got := [3]string{name, tag, digest}; got != want {
			t.Errorf("%s: got %q, want %q", ref, got, want)
		}
	}
}

// Whatever a file holds, it is refused or stays the same when it is written.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":1,"images":null}`))
	f.Add([]byte(`{"format":1,"routes":{"a/b":{"name":"a/b","weights":{"stable":100},"workload":"a/b"}}}`))
	f.Add([]byte(`{"format":1,"objects":{"Secret/a/b":{"data":{"a":"Yg=="}}},"deployments":{"a/b":{"uid":"1"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "state.json")
		if err := saveState(path, s); err != nil {
			t.Fatalf("write what was read: %v", err)
		}
		again, err := loadState(path)
		if err != nil {
			t.Fatalf("read what was written: %v", err)
		}
		if len(again.Deployments) != len(s.Deployments) || len(again.Routes) != len(s.Routes) || len(again.Objects) != len(s.Objects) {
			t.Errorf("got %+v, want %+v", again, s)
		}
	})
}
