package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/headgate-dev/headgate/internal/manifests"
	"github.com/headgate-dev/headgate/stages"
)

// release reads the manifests of a release. What a person should know of them
// is said once, however often they are read.
func (w *wiring) release(ctx context.Context, m stages.Manifests) ([]json.RawMessage, error) {
	from := manifests.Release{Name: m.Workload.Name, Namespace: m.Workload.Namespace, Helm: w.helm, Note: w.once}
	sources := make([]manifests.Source, len(m.Sources))
	for i, s := range m.Sources {
		sources[i] = manifests.Source{Path: w.place(s.Path), Release: s.Release, Set: s.Set}
		for _, file := range s.Values {
			sources[i].Values = append(sources[i].Values, w.place(file))
		}
	}
	return from.Read(ctx, sources)
}

// once passes a note on when it is the first of its words.
func (w *wiring) once(line string) {
	if w.note == nil || w.noted[line] {
		return
	}
	if w.noted == nil {
		w.noted = map[string]bool{}
	}
	w.noted[line] = true
	w.note(line)
}

// helm runs the program helm.
func (w *wiring) helm(ctx context.Context, args []string, stdin []byte, limit int) ([]byte, error) {
	if _, err := w.parts.Commands.Find("helm"); errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", manifests.ErrNoHelm, err)
	} else if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := &bounded{limit: limit, full: func() { stop(fmt.Errorf("helm wrote more than %d bytes", limit)) }}
	var said []string
	err := w.parts.Commands.Run(ctx, stages.Command{
		Args: append([]string{"helm"}, args...), Stdin: bytes.NewReader(stdin), Stdout: out,
		Output: func(line string) {
			if len(said) < 10 {
				said = append(said, strings.TrimSpace(line))
			}
		},
	})
	if err != nil && len(said) > 0 {
		return nil, fmt.Errorf("%w: %s", err, strings.Join(said, " "))
	}
	return out.Bytes(), err
}

// bounded keeps what is written to it, up to a limit.
type bounded struct {
	bytes.Buffer
	limit int
	full  func()
}

// Write keeps what there is room for.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.Len()
	if len(p) > room {
		b.Buffer.Write(p[:max(room, 0)])
		b.full()
		return len(p), nil // The program is ended; an error here would hide why.
	}
	return b.Buffer.Write(p)
}
