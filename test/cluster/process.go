package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is one that this program started, written down so that a later
// run can stop it. A process id alone is not enough, for the system gives it
// to another process once this one is gone: boot and start tell them apart.
type process struct {
	PID   int    `json:"pid"`
	Boot  string `json:"boot"`  // which start of the machine
	Start uint64 `json:"start"` // clock ticks from the machine's start to the process's
}

// launch starts a program in a session of its own, so that it lives on when
// this program and its terminal end. What it prints goes to the log.
func launch(argv, env []string, dir, log string) (process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return process{}, fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, file, file
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return process{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	// One that has ended already is noted, too: as long as nobody has waited for
	// it, its id is its own, and whoever watches it tells of its end and its log.
	p, _, err := observe(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return process{}, err
	}
	// Nobody waits for the end of this one; but as long as this program runs, an
	// ended child of its own would otherwise look alive.
	go func() { _ = cmd.Wait() }()
	return p, nil
}

// identify notes what tells a living process from a later one with the same id.
func identify(pid int) (process, error) {
	p, state, err := observe(pid)
	if err == nil && (state == "Z" || state == "X") {
		err = fmt.Errorf("identify process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return process{}, err
	}
	return p, nil
}

// observe reads what identifies the process, and the letter of its state.
func observe(pid int) (process, string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, "", fmt.Errorf("identify process %d: %w", pid, err)
	}
	state, start, err := parseStat(string(stat))
	if err != nil {
		return process{}, "", fmt.Errorf("identify process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, "", fmt.Errorf("identify process %d: %w", pid, err)
	}
	return process{PID: pid, Boot: strings.TrimSpace(string(boot)), Start: start}, state, nil
}

// parseStat reads the state and the start time from a line of /proc/PID/stat.
// The program's name comes before them, in parentheses, and may itself hold
// spaces and parentheses.
func parseStat(stat string) (state string, start uint64, err error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return "", 0, errors.New("parse stat: no program name")
	}
	fields := strings.Fields(stat[end+1:])
	const stateField, startField = 0, 19
	if len(fields) <= startField {
		return "", 0, fmt.Errorf("parse stat: %d fields after the name, want at least %d", len(fields), startField+1)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("parse stat: %w", err)
	}
	return fields[stateField], start, nil
}

// alive says whether this very process still runs.
func (p process) alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// stop asks the process to end and kills it after the grace.
func (p process) stop(grace time.Duration) error {
	// The handle stays with the process that has the id now, so once that is
	// known to be ours, a signal cannot reach another one.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return nil
	}
	defer handle.Release()
	if !p.alive() {
		return nil
	}
	if err := handle.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop process %d: %w", p.PID, err)
	}
	if p.gone(grace) {
		return nil
	}
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	if !p.gone(5 * time.Second) {
		return fmt.Errorf("kill process %d: still there", p.PID)
	}
	return nil
}

func (p process) gone(within time.Duration) bool {
	for deadline := time.Now().Add(within); p.alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// save writes the process down, whole or not at all.
func (p process) save(path string) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("save process: %w", err)
	}
	aside := path + ".new"
	if err := os.WriteFile(aside, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("save process: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("save process: %w", err)
	}
	return nil
}

// loadProcess reads a process that was saved. A missing file is os.ErrNotExist.
func loadProcess(path string) (process, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return process{}, fmt.Errorf("load process: %w", err)
	}
	var p process
	if err := json.Unmarshal(content, &p); err != nil {
		return process{}, fmt.Errorf("load process %s: %w", filepath.Base(path), err)
	}
	if p.PID <= 1 {
		return process{}, fmt.Errorf("load process %s: no process has id %d", filepath.Base(path), p.PID)
	}
	return p, nil
}
