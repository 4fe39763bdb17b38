package route

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/internal/kube"
)

const (
	// configAnnotation is on the pods of nginx; a change of it makes the
	// kubelet look at once whether their files have changed.
	configAnnotation = "headgate.dev/config"
	// resolveTimeout is how long a name that is not known yet may become
	// known: answers of a cluster's DNS are valid for some seconds.
	resolveTimeout = 12 * time.Second
	// hurriedTimeout is the same where traffic has to go back.
	hurriedTimeout = time.Second
	// reloadTimeout bounds the wait for new workers, and reloadAgain is after
	// how long nginx is told again, for it keeps its old workers where a name
	// could not be resolved for a moment.
	reloadTimeout, reloadAgain = 20 * time.Second, 3 * time.Second
)

// The scripts that run in pods. They are constants: all values are arguments.
const (
	// lookScript prints, of every process of nginx, its line in /proc and its
	// title, and then the file $1.
	lookScript = `for d in /proc/[0-9]*; do
  { read -r s <"$d/stat"; } 2>/dev/null || continue
  case $s in *"(nginx)"*) printf '%s\n' "$s"; cat "$d/cmdline" 2>/dev/null; printf '\n';; esac
done
printf 'file\n'; exec cat "$1"`
	// testScript tests the configuration on its standard input with nginx $2,
	// as if it stood in the folder $1; further arguments are nginx's.
	testScript = `for t in "${TMPDIR:-/tmp}" /dev/shm /run /var/cache/nginx; do
  d=$(mktemp -d "$t/headgate.XXXXXX" 2>/dev/null) && break
done
[ -n "$d" ] || { echo 'no folder is writable' >&2; exit 73; }
trap 'rm -rf "$d"' EXIT
for f in "$1"/* "$1"/.[!.]*; do [ -e "$f" ] && ln -s "$f" "$d/"; done
cat >"$d/headgate-candidate.conf" || exit 73
n=$2; shift 2
"$n" -t -c "$d/headgate-candidate.conf" "$@"`
	// reloadScript tells the process $1 to read its configuration again.
	reloadScript = `kill -HUP "$1"`
)

// nginxState is what is seen of an nginx.
type nginxState struct {
	master int
	// args are the program and those of its arguments that say where the
	// configuration is.
	program, conf, prefix string
	// workers are the processes that take new connections.
	workers map[int]bool
	// file is the text of the ConfigMap's file.
	file string
}

// where are nginx's arguments by which another process finds the same
// configuration.
func (s nginxState) where() []string {
	var out []string
	if s.conf != "" {
		out = append(out, "-c", s.conf)
	}
	return append(out, s.beside()...)
}

// beside are those that hold for a configuration in another place.
func (s nginxState) beside() []string {
	if s.prefix != "" {
		return []string{"-p", s.prefix}
	}
	return nil
}

func (p nginxPod) exec(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	return p.c.Exec(ctx, kube.Exec{Namespace: p.namespace, Pod: p.name, Container: p.container, Args: args, Stdin: []byte(stdin)})
}

func (p nginxPod) look(ctx context.Context) (nginxState, error) {
	out, err := p.exec(ctx, "", "sh", "-c", lookScript, "sh", p.file)
	if err != nil {
		if _, ok := errors.AsType[*kube.ExecError](err); ok || strings.Contains(err.Error(), "executable file not found") {
			return nginxState{}, &noShellError{p.name, err}
		}
		return nginxState{}, err
	}
	s, err := readNginxState(out)
	if err == nil && s.master == 0 {
		err = &noProcessError{p.name, p.container}
	}
	return s, err
}

// readNginxState reads what [lookScript] prints.
func readNginxState(out []byte) (nginxState, error) {
	s := nginxState{workers: map[int]bool{}}
	parents := map[int]int{}
	for {
		line, rest, ok := bytes.Cut(out, []byte("\n"))
		if !ok {
			return nginxState{}, errors.New("read processes of nginx: they end too early")
		}
		if string(line) == "file" {
			s.file = string(rest)
			break
		}
		title, rest, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nginxState{}, errors.New("read processes of nginx: they end too early")
		}
		out = rest
		pid, parent, err := readStat(string(line))
		if err != nil {
			return nginxState{}, err
		}
		words, what := strings.CutPrefix(strings.TrimRight(string(title), "\x00 "), "nginx: ")
		switch command, isMaster := strings.CutPrefix(words, "master process "); {
		case !what:
		case isMaster && s.master != 0:
			return nginxState{}, errors.New("read processes of nginx: it runs twice")
		case isMaster:
			s.master = pid
			s.readCommand(command)
		case words == "worker process":
			parents[pid] = parent
		}
	}
	for pid, parent := range parents {
		if parent == s.master {
			s.workers[pid] = true
		}
	}
	return s, nil
}

// readStat reads the number of a process and of its parent.
func readStat(line string) (pid, parent int, err error) {
	head, tail, ok := strings.Cut(line, " (nginx) ")
	f := strings.Fields(tail)
	if !ok || len(f) < 2 {
		return 0, 0, fmt.Errorf("read processes of nginx: %.60q is none", line)
	}
	if pid, err = strconv.Atoi(head); err == nil {
		parent, err = strconv.Atoi(f[1])
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read processes of nginx: %w", err)
	}
	return pid, parent, nil
}

// readCommand reads how nginx was started.
func (s *nginxState) readCommand(command string) {
	f := strings.Fields(command)
	if len(f) > 0 {
		s.program = f[0]
	}
	for i := 1; i+1 < len(f); i++ {
		switch f[i] {
		case "-c":
			s.conf = f[i+1]
		case "-p":
			s.prefix = f[i+1]
		case "-g":
			return // What follows is configuration, up to who knows where.
		}
	}
}

// load waits until the pod has the file, lets its nginx read it, and sees that
// only workers which have read it take connections.
func (p nginxPod) load(ctx context.Context, text string) error {
	s, err := p.await(ctx, text)
	if err != nil {
		return err
	}
	if _, err := p.resolving(ctx, resolveTimeout, func(ctx context.Context) ([]byte, error) {
		return p.exec(ctx, "", append([]string{s.program, "-t"}, s.where()...)...)
	}); err != nil {
		return err
	}
	if err := p.reload(ctx, s); err != nil {
		return err
	}
	again, err := p.look(ctx)
	if err == nil && again.file != text {
		err = fmt.Errorf("read the configuration of pod %s: it was changed again while nginx read it", p.name)
	}
	return err
}

// await waits for the file.
func (p nginxPod) await(ctx context.Context, text string) (nginxState, error) {
	for told := false; ; {
		s, err := p.look(ctx)
		if err != nil || s.file == text {
			return s, err
		}
		if !told {
			sum := sha256.Sum256([]byte(text))
			if err := p.c.Annotate(ctx, kube.Annotated{Resource: podsResource(), Namespace: p.namespace, Name: p.name}, configAnnotation, hex.EncodeToString(sum[:6])); err != nil {
				return nginxState{}, err
			}
			told = true
		}
		if err := rest(ctx, lookEvery); err != nil {
			return nginxState{}, fmt.Errorf("the new configuration has not reached pod %s: %w", p.name, err)
		}
	}
}

// reload replaces the workers that before shows.
func (p nginxPod) reload(ctx context.Context, before nginxState) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reloadTimeout, fmt.Errorf("it has started no new workers within %s; its log says why", reloadTimeout))
	defer cancel()
	var told time.Time
	for {
		if time.Since(told) > reloadAgain {
			if _, err := p.exec(ctx, "", "sh", "-c", reloadScript, "sh", strconv.Itoa(before.master)); err != nil {
				return fmt.Errorf("reload nginx of pod %s: %w", p.name, err)
			}
			told = time.Now()
		}
		now, err := p.look(ctx)
		if err != nil {
			return err
		}
		if now.master != before.master {
			return fmt.Errorf("reload nginx of pod %s: it was started anew meanwhile", p.name)
		}
		if now.replaced(before) {
			return nil
		}
		if err := rest(ctx, lookEvery); err != nil {
			return fmt.Errorf("reload nginx of pod %s: %w", p.name, err)
		}
	}
}

// replaced reports whether all workers are others than before.
func (s nginxState) replaced(before nginxState) bool {
	for pid := range s.workers {
		if before.workers[pid] {
			return false
		}
	}
	return len(s.workers) > 0
}

// testCandidate lets nginx test a text in place of the file that it has. An
// error about the configuration that it has now is a [*presentError], which
// takes as long as patience to be sure of where a name is not known.
func (p nginxPod) testCandidate(ctx context.Context, text string, patience time.Duration) error {
	s, err := p.look(ctx)
	if err != nil {
		return err
	}
	d := nginxDump{main: p.file, files: map[string]string{p.file: s.file}}
	if s.conf != p.file { // It is included somewhere, or there is none of ours.
		dump, err := p.resolving(ctx, patience, func(ctx context.Context) ([]byte, error) {
			return p.exec(ctx, "", append([]string{s.program, "-T"}, s.where()...)...)
		})
		if e, ok := errors.AsType[*testFailedError](err); ok {
			return &presentError{e}
		}
		if err != nil {
			return err
		}
		d = readNginxDump(string(dump))
	}
	candidate, err := d.with(p.file, text)
	if err != nil {
		return fmt.Errorf("test configuration in pod %s: %w", p.name, err)
	}
	_, err = p.resolving(ctx, resolveTimeout, func(ctx context.Context) ([]byte, error) {
		args := append([]string{"sh", "-c", testScript, "sh", d.folder(), s.program}, s.beside()...)
		return p.exec(ctx, candidate, args...)
	})
	return err
}

// resolving runs a test of nginx, again and again for as long as patience where
// a name is not known.
func (p nginxPod) resolving(ctx context.Context, patience time.Duration, test func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	for began := time.Now(); ; {
		out, err := test(ctx)
		e, ok := errors.AsType[*kube.ExecError](err)
		if !ok {
			return out, err
		}
		if !strings.Contains(e.Stderr, "host not found") || time.Since(began) > patience {
			return nil, &testFailedError{p.name, strings.TrimPrefix(e.Stderr, "nginx: ")}
		}
		if err := rest(ctx, time.Second); err != nil {
			return nil, &testFailedError{p.name, e.Stderr}
		}
	}
}
