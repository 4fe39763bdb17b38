package stages

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
)

// maxOutputs bounds what a command can give out, in bytes.
const maxOutputs = 1 << 20

var outputNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// outputName reports whether name can be that of an output.
func outputName(name string) bool { return len(name) <= 100 && outputNames().MatchString(name) }

// readOutputs reads the file that a command wrote its outputs to.
func readOutputs(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read outputs: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOutputs+1))
	if err != nil {
		return nil, fmt.Errorf("read outputs: %w", err)
	}
	if len(data) > maxOutputs {
		return nil, fmt.Errorf("read outputs: more than %d bytes", maxOutputs)
	}
	return parseOutputs(string(data))
}

// parseOutputs reads lines of the forms
//
//	name=value
//	name<<END … END
//
// where END is any word and the lines between are the value. Of a name that
// comes twice the last value counts. Errors name the line, and no value.
func parseOutputs(text string) (map[string]string, error) {
	values := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.TrimSpace(line) == "" {
			continue
		}
		at := i + 1
		name, value, plain := strings.Cut(line, "=")
		if before, end, ok := strings.Cut(line, "<<"); ok && (!plain || len(before) < len(name)) {
			n, err := heredoc(lines[i+1:], end)
			if err != nil {
				return nil, fmt.Errorf("read outputs: line %d: %w", at, err)
			}
			name, value, plain = before, strings.Join(lines[i+1:i+1+n], "\n"), true
			i += n + 1
		}
		if !plain {
			return nil, fmt.Errorf("read outputs: line %d: neither name=value nor name<<END", at)
		}
		if !outputName(name) {
			return nil, fmt.Errorf("read outputs: line %d: what stands before the value is not a name", at)
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("read outputs: line %d: the value has a zero byte", at)
		}
		values[name] = value
	}
	return values, nil
}

// heredoc returns how many lines stand before the one that is end.
func heredoc(lines []string, end string) (int, error) {
	if end == "" || end != strings.TrimSpace(end) {
		return 0, errors.New("no word stands directly behind <<")
	}
	for n, line := range lines {
		if line == end {
			return n, nil
		}
	}
	return 0, errors.New("the value has no end")
}
