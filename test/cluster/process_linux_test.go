package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStatReadsPastAnyName(t *testing.T) {
	const rest = " S 1 42 42 0 -1 4194560 103 0 0 0 0 0 0 0 20 0 1 0 8912 2281472 256"
	for _, test := range []struct{ name, stat string }{
		{"plain", "42 (sleep)" + rest},
		{"space", "42 (tmux: server)" + rest},
		{"parenthesis", "42 (a) S 1 (b)" + rest},
	} {
		t.Run(test.name, func(t *testing.T) {
			state, start, err := parseStat(test.stat)
			if err != nil || state != "S" || start != 8912 {
				t.Errorf("parseStat(%q): got %q, %d, %v, want S, 8912", test.stat, state, start, err)
			}
		})
	}
}

func TestParseStatRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, stat := range []string{"", "42 sleep S 1", "42 (sleep) S 1 42", "42 (sleep) S" + strings.Repeat(" x", 30)} {
		if _, _, err := parseStat(stat); err == nil {
			t.Errorf("parseStat(%q): got no error, want one", stat)
		}
	}
}

func TestProcessIsStopped(t *testing.T) {
	p := launched(t, "sleep", "60")
	if !p.alive() {
		t.Fatal("got a dead process right after its start, want it alive")
	}
	if err := p.stop(time.Second); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("got a live process after stop, want it gone")
	}
	if err := p.stop(time.Second); err != nil {
		t.Errorf("stop once more: got %v, want nothing to happen", err)
	}
}

func TestProcessThatIgnoresStopIsKilled(t *testing.T) {
	dir := t.TempDir()
	p := launched(t, "sh", "-c", "trap '' TERM; touch "+dir+"/trapped; while :; do sleep 0.1; done")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir + "/trapped"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the process did not begin")
		}
	}
	if err := p.stop(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("got a live process after stop, want it killed")
	}
}

// A recycled id is the same id with another start, or after another boot.
func TestProcessWithSameIDIsLeftAlone(t *testing.T) {
	p := launched(t, "sleep", "60")
	later, rebooted := p, p
	later.Start++
	rebooted.Boot = "another"
	for _, other := range []process{later, rebooted} {
		if other.alive() {
			t.Errorf("%+v: got alive, want gone", other)
		}
		if err := other.stop(time.Second); err != nil {
			t.Errorf("stop %+v: %v", other, err)
		}
	}
	if !p.alive() {
		t.Error("got the process stopped for a record of another, want it alive")
	}
}

func TestProcessSurvivesBeingWrittenDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.json")
	want := process{PID: 4321, Boot: "b4c1", Start: 99}
	if err := want.save(path); err != nil {
		t.Fatal(err)
	}
	got, err := loadProcess(path)
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestLoadProcessRefusesWhatMustNotBeKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.json")
	if _, err := loadProcess(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
	for _, content := range []string{"", "{}", `{"pid":1}`, `{"pid":-1}`, `{"pid":"12"}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := loadProcess(path); err == nil {
			t.Errorf("%q: got %+v, want an error", content, p)
		}
	}
}

func launched(t *testing.T, argv ...string) process {
	t.Helper()
	dir := t.TempDir()
	p, err := launch(argv, nil, dir, filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(0); err != nil {
			t.Error(err)
		}
	})
	return p
}
