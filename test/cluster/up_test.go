package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestStartAllWaitsForWhatIsNeeded(t *testing.T) {
	var mu sync.Mutex
	var order []string
	step := func(name string, needs ...string) part {
		return part{name: name, needs: needs, run: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}}
	}
	c := testCluster(t)
	if err := c.startAll(t.Context(), []part{step("roof", "wall"), step("wall", "floor"), step("floor")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"floor", "wall", "roof"}; !slices.Equal(order, want) {
		t.Errorf("got order %v, want %v", order, want)
	}
}

func TestStartAllStopsAtTheFirstError(t *testing.T) {
	broken := errors.New("no bricks")
	err := testCluster(t).startAll(t.Context(), []part{
		{name: "floor", run: func(context.Context) error { return broken }},
		{name: "wall", needs: []string{"floor"}, run: func(context.Context) error {
			t.Error("wall started without floor")
			return nil
		}},
		// Would wait for ever, were it not told to give up.
		{name: "door", run: func(context.Context) error { return nil }, ready: func(context.Context) error { return errors.New("not yet") }},
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "floor") {
		t.Errorf("got %v, want the reason and the part's name", err)
	}
}

func TestStartTellsOfAnEarlyEnd(t *testing.T) {
	c := testCluster(t)
	for _, dir := range []string{"log", "process"} {
		if err := os.Mkdir(c.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err := c.start(t.Context(), part{
		name:  "etcd",
		argv:  []string{"sh", "-c", "echo disk is full; exit 1"},
		ready: func(context.Context) error { return errors.New("not yet") },
	})
	var failed *partError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a partError", err)
	}
	hint := failed.Hint()
	for _, want := range []string{"disk is full", filepath.Join("log", "etcd.log")} {
		if !strings.Contains(hint, want) {
			t.Errorf("got hint %q, want it to have %q", hint, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 2, "    "},
		{"a\n", 2, "    a"},
		{"a\nb\nc\n", 2, "    b\n    c"},
	} {
		if got := lastLines(test.text, test.n); got != test.want {
			t.Errorf("lastLines(%q, %d): got %q, want %q", test.text, test.n, got, test.want)
		}
	}
}
