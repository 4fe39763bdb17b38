package report

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/headgate-dev/headgate/pipeline"
)

// outputName is what GitHub takes for the name of an output.
var outputName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`) })

// fileCommand returns the entry of an environment file that sets name to
// value. The delimiter is made from token, which nobody can foresee, so that
// no value can end its entry and begin another.
func fileCommand(name, value, token string) (string, error) {
	if !outputName().MatchString(name) {
		return "", fmt.Errorf("write output: %q is no name of an output", name)
	}
	delimiter := "headgate_" + token
	if token == "" || strings.ContainsAny(token, "\r\n") || strings.Contains(value, delimiter) {
		return "", fmt.Errorf("write output %s: the value holds the delimiter", name)
	}
	return name + "<<" + delimiter + "\n" + value + "\n" + delimiter + "\n", nil
}

// WriteOutputs sets the outputs of a step that ended before there was a run,
// in the file that GITHUB_OUTPUT names.
func WriteOutputs(path string, r pipeline.Result) error {
	return writeOutputs(path, outputs(r), rand.Text)
}

// outputs are those that tell a result.
func outputs(r pipeline.Result) [][2]string {
	return [][2]string{
		{"result", r.Ending.String()},
		{"exit-code", strconv.Itoa(int(r.Ending))},
		{"stage", r.Stage},
		{"reason", r.Reason},
	}
}

func writeOutputs(path string, all [][2]string, token func() string) error {
	var text strings.Builder
	for _, o := range all {
		entry, err := fileCommand(o[0], o[1], token())
		if err != nil {
			return err
		}
		text.WriteString(entry)
	}
	return appendFile(path, text.String())
}

// appendFile adds text to a file of the runner's, which exists already.
func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// cut shortens s to at most n bytes, at a rune's edge, and says so.
func cut(s string, n int) string {
	const more = " […]"
	if len(s) <= n {
		return s
	}
	n -= len(more)
	for edge := n; edge > 0 && edge > n-utf8.UTFMax; edge-- {
		if utf8.RuneStart(s[edge]) { // other bytes that are no text stay
			n = edge
			break
		}
	}
	return s[:n] + more
}
