package pipeline

import (
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// SecretsWithout returns the declared secrets that are needed when the given
// sections are not used: those that an expression anywhere else may name, and
// those that nothing names. Where it is not certain, a secret is needed.
func (p *Pipeline) SecretsWithout(sections ...string) source.Map[Secret] {
	out := source.Map[Secret]{Pos: p.Secrets.Pos}
	for _, e := range p.Secrets.Entries {
		inside, outside := false, false
		for _, u := range p.uses {
			if !u.mayName(e.Key.Value) {
				continue
			}
			if section, _, _ := strings.Cut(u.Path, "."); u.stage < 0 && slices.Contains(sections, section) {
				inside = true
			} else {
				outside = true
			}
		}
		if outside || !inside {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}

// mayName reports whether a field may name a secret.
func (u use) mayName(secret string) bool {
	return strings.Contains(u.Text, nameSecrets) && strings.Contains(u.Text, secret)
}
