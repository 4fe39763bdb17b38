package route

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// nginxDump is what nginx -T prints: every file of a configuration.
type nginxDump struct {
	// main is the first one.
	main  string
	files map[string]string
}

// dumpHead is what stands before each file.
const dumpHead = "# configuration file "

// readNginxDump reads it.
func readNginxDump(out string) nginxDump {
	d := nginxDump{files: map[string]string{}}
	for part := range strings.SplitSeq("\n"+out, "\n"+dumpHead) {
		name, text, ok := strings.Cut(part, ":\n")
		if !ok || !path.IsAbs(name) || strings.Contains(name, "\n") {
			continue
		}
		if name = path.Clean(name); d.main == "" {
			d.main = name
		}
		if _, twice := d.files[name]; !twice {
			d.files[name] = text
		}
	}
	return d
}

// folder is that of the main file, which relative paths are relative to.
func (d nginxDump) folder() string { return path.Dir(d.main) }

// with returns the whole configuration as one text in which one file says
// something else. Files by whose includes nginx does not come to it stay where
// they are.
func (d nginxDump) with(file, text string) (string, error) {
	if d.main == "" {
		return "", fmt.Errorf("read the configuration of nginx: it shows no file")
	}
	files := nginxDump{d.main, map[string]string{}}
	maps.Copy(files.files, d.files)
	files.files[path.Clean(file)] = text
	if _, ok := d.files[path.Clean(file)]; !ok {
		return "", &notReadError{file}
	}
	out, found, err := files.inline(d.main, path.Clean(file), 0)
	if err == nil && !found {
		err = &notReadError{file}
	}
	return out, err
}

// inline returns a file with those files in it by which target is reached; and
// whether it is.
func (d nginxDump) inline(file, target string, depth int) (string, bool, error) {
	text := d.files[file]
	if depth > maxNginxDepth {
		return "", false, fmt.Errorf("read the configuration of nginx: includes are nested too deep")
	}
	if file == target {
		return text, true, nil
	}
	top, err := parseNginx(text)
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", file, err)
	}
	var edits []edit
	for _, inc := range includesIn(top) {
		matching := d.matching(inc.words[1].text)
		var parts []string
		reached := false
		for _, m := range matching {
			inner, found, err := d.inline(m, target, depth+1)
			if err != nil {
				return "", false, err
			}
			if !found {
				inner = "include " + strconv.Quote(m) + ";"
			}
			reached = reached || found
			parts = append(parts, inner)
		}
		if reached {
			edits = append(edits, edit{inc.start, inc.end, strings.Join(parts, "\n") + "\n"})
		}
	}
	return edited(text, edits), len(edits) > 0, nil
}

// includesIn finds the include directives at any depth.
func includesIn(ds []*nginxDirective) []*nginxDirective {
	var out []*nginxDirective
	for _, d := range ds {
		if !d.block && d.name() == "include" && len(d.words) == 2 {
			out = append(out, d)
		}
		out = append(out, includesIn(d.children)...)
	}
	return out
}

// matching are the files that an include takes in, in nginx's order.
func (d nginxDump) matching(pattern string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(d.folder(), pattern)
	}
	var out []string
	for name := range d.files {
		if ok, err := path.Match(path.Clean(pattern), name); ok && err == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// notReadError reports a file that nginx does not read.
type notReadError struct{ file string }

func (e *notReadError) Error() string {
	return "the ConfigMap's file " + e.file + " is not part of what nginx reads"
}

// Hint says what to do about it.
func (e *notReadError) Hint() string {
	return "start nginx with -c and this file, or include it from its main file"
}
