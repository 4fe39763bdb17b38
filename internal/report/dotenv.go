package report

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/headgate-dev/headgate/pipeline"
)

// The bounds of GitLab on a dotenv report: what is larger is refused whole.
const (
	maxDotenv      = 5 << 10 // bytes
	maxDotenvNames = 20
)

// The variables of a dotenv report. They are none of those that stand for
// flags, so that a later job which runs headgate is not told what to do by an
// earlier one.
const (
	dotenvResult = "HEADGATE_RESULT"
	dotenvOutput = "HEADGATE_OUTPUT_"
)

// Dotenv writes the outputs of a run as variables for later jobs, at its
// Close. There are
//
//	HEADGATE_RESULT, HEADGATE_RESULT_EXIT_CODE, HEADGATE_RESULT_RUN_ID,
//	HEADGATE_RESULT_STAGE (the one that failed)
//	HEADGATE_OUTPUT_<STAGE>_<NAME> for every output of a stage
//
// in capitals, with "_" for what cannot be in the name of a variable. A value
// that is not plain (letters, digits and ._:/@+=,%~- only) is left out, since
// readers of such files disagree about spaces, quotes and "$".
type Dotenv struct {
	mu sync.Mutex
	a  *account
}

var _ Reporter = (*Dotenv)(nil)

// NewDotenv returns a reporter that writes to o.Out.
func NewDotenv(o Options) *Dotenv { return &Dotenv{a: newAccount(o)} }

// Handle takes e into account.
func (d *Dotenv) Handle(e pipeline.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.a.add(e)
}

// Close writes the variables. An output that had to be left out is an error
// that names it.
func (d *Dotenv) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, left := dotenv(d.a)
	if _, err := io.WriteString(d.a.o.Out, text); err != nil {
		return fmt.Errorf("write dotenv: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("write dotenv: left out %s: only short, plain values fit, and at most %d", strings.Join(left, ", "), maxDotenvNames)
	}
	return nil
}

// plainValue is what every reader of such a file takes as it is.
var plainValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._:/@+=,%~-]+$`) })

// dotenv returns the file, and the names of the outputs that are not in it.
func dotenv(a *account) (text string, left []string) {
	var b strings.Builder
	n := 0
	add := func(name, value string) bool {
		if !plainValue().MatchString(value) || n == maxDotenvNames || b.Len()+len(name)+len(value)+2 > maxDotenv {
			return false
		}
		n++
		b.WriteString(name + "=" + value + "\n")
		return true
	}
	if a.result != nil {
		add(dotenvResult, a.result.Ending.String())
		add(dotenvResult+"_EXIT_CODE", strconv.Itoa(int(a.result.Ending)))
		add(dotenvResult+"_STAGE", a.result.Stage)
	}
	add(dotenvResult+"_RUN_ID", a.run.ID)
	meant := map[string]int{} // how many outputs a name stands for
	for _, s := range a.stages {
		for name := range s.outputs {
			meant[outputVariable(s.name, name)]++
		}
	}
	for _, s := range a.stages {
		for _, name := range slices.Sorted(maps.Keys(s.outputs)) {
			variable := outputVariable(s.name, name)
			if meant[variable] > 1 || !add(variable, s.outputs[name]) {
				left = append(left, variable)
			}
		}
	}
	slices.Sort(left)
	return b.String(), slices.Compact(left)
}

// maxVariable bounds the name of a variable, in bytes.
const maxVariable = 200

func outputVariable(stage, output string) string {
	name := dotenvOutput + strings.NewReplacer(".", "_", "-", "_").Replace(sectionName(stage)+"_"+sectionName(output))
	return strings.ToUpper(name[:min(len(name), maxVariable)])
}
