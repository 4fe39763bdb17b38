package importer

import (
	"fmt"
	"strings"
)

// write makes the pipeline file.
func (im *importing) write() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if len(im.gates) > 0 && im.prometheus == "" && im.asks() {
		im.prometheus = "http://prometheus:9090"
		im.notes = append(im.notes, Note{
			File: "headgate.yaml", Path: "prometheus.url", Lost: true,
			Text: "the source does not say where Prometheus is; " + im.prometheus + " stands in its place",
		})
	}
	im.comments(line, true, "Not carried over")
	im.comments(line, false, "Good to know")
	line("version: 1")
	line("name: %s", quote(im.name))
	if len(im.images) > 0 {
		line("vars:")
		for _, v := range im.images {
			line("  %s: %s # give tag or digest: headgate run --var %s=…", v.name, quote(v.value), v.name)
		}
	}
	if im.namespace != "" {
		line("kubernetes: {namespace: %s}", quote(im.namespace))
	}
	if im.prometheus != "" {
		line("prometheus: {url: %s}", quote(im.prometheus))
	}
	if len(im.gates) > 0 {
		line("gates:")
		for _, g := range im.gates {
			for _, l := range g.lines() {
				line("  %s", l)
			}
		}
	}
	line("stages:")
	for _, s := range im.stages {
		line("  - name: %s", quote(s.name))
		line("    %s:", s.kind)
		for _, l := range s.lines {
			line("      %s", l)
		}
	}
	return []byte(b.String())
}

// asks reports whether a gate asks Prometheus.
func (im *importing) asks() bool {
	for _, g := range im.gates {
		for _, c := range g.checks {
			if !strings.HasPrefix(c, "{http:") {
				return true
			}
		}
	}
	return false
}

func (im *importing) comments(line func(format string, args ...any), lost bool, title string) {
	first := true
	for _, n := range im.notes {
		if n.Lost != lost {
			continue
		}
		if first {
			line("# %s:", title)
			first = false
		}
		line("#   %s", oneLine(n.String()))
	}
	if !first {
		line("")
	}
}

// oneLine keeps what stands in a source from becoming more than a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\uFEFF' || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s)
}
