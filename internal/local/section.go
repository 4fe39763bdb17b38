package local

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Key is the name of the section in the file.
const Key = "local"

// Section is the key `local` of the pipeline file. Without --local it has no
// effect.
type Section struct {
	Pos       source.Pos
	Images    source.Map[ImageDecl] `yaml:"images" doc:"What runs in place of each image: by its name as the build stage or the manifests have it, without tag, or with one for that tag alone." example:"ghcr.io/acme/user-service: {command: [bin/user-service]}"`
	Manifests []source.String       `yaml:"manifests" doc:"Files and folders with objects that the cluster has and the release's own manifests do not: Secrets, ConfigMaps, or the Deployment that is live before the first run." example:"[local/]"`
	Flags     []source.String       `yaml:"flags" doc:"Files with feature flags as they are before the first run, one record as JSON in each. A flag that is there already is left as it is." example:"[new_profile_format.json]"`
	Listen    source.String         `yaml:"listen" doc:"Address, on loopback, that users reach the service by. Default: 127.0.0.1 and a free port, the same as the last time where it is still free; the run prints it." example:"127.0.0.1:8080"`
	Scrape    source.Duration       `yaml:"scrapeInterval" default:"1s" min:"100ms" max:"1m" doc:"How often metrics are fetched."`
}

// ImageDecl says what is run in place of an image.
type ImageDecl struct {
	Pos     source.Pos
	Command []source.Template           `yaml:"command" oneof:"what" doc:"The program and its first arguments, in place of the image's entrypoint and the container's command. A program with a / is a file below the folder that headgate runs in; it is copied, so that a later build does not change what runs. The name headgate alone is the program that reads this file." example:"[bin/user-service]"`
	Args    []source.Template           `yaml:"args" doc:"Further arguments, in place of the container's args. Default: those."`
	Dir     source.String               `yaml:"dir" doc:"The folder that it runs in. Default: the one that headgate runs in."`
	Env     source.Map[source.Template] `yaml:"env" keys:"^[A-Za-z_][A-Za-z0-9_.-]*$" words:"a name of letters, digits, _, - and ." doc:"Variables of the environment. They win over those of the manifests, and may name them, and PORT, PORT_<NAME>, HEADGATE_LOCAL_REDIS, HEADGATE_LOCAL_PROMETHEUS and HEADGATE_LOCAL_TRACK, as $(NAME)." example:"ADDRESS: 127.0.0.1:$(PORT)"`
	Skip    source.Bool                 `yaml:"skip" oneof:"what" doc:"Containers with this image are left out, such as the proxy of a mesh."`
}

var _ pipeline.SemanticChecker = (*Section)(nil)

// Declare returns the section for a [pipeline.Grammar].
func Declare() pipeline.Section {
	return pipeline.Section{
		Name: Key, Doc: "What `headgate run --local` needs to run the file on this machine without a cluster.",
		New: func() any { return &Section{} },
	}
}

// Check reports addresses and images that make no sense.
func (s *Section) Check(_ *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	if s.Listen.IsSet() {
		if err := CheckListen(s.Listen.Value); err != nil {
			report(source.Problem{Pos: s.Listen.Pos, Width: max(len(s.Listen.Value), 1), Message: err.Error(), Hint: "write it as 127.0.0.1:8080"})
		}
	}
	for _, e := range s.Images.Entries {
		if strings.Contains(e.Key.Value, "@") {
			report(source.Problem{
				Pos: e.Key.Pos, Width: len(e.Key.Value), Message: fmt.Sprintf("image %q has a digest", e.Key.Value),
				Hint: "name the image without it; here is said what runs in its place, whatever its digest",
			})
		}
		if v := e.Value; v.Skip.Value && (len(v.Args) > 0 || v.Dir.IsSet() || v.Env.IsSet()) {
			report(source.Problem{Pos: v.Pos, Width: 1, Message: "an image that is skipped takes nothing else", Hint: "leave args, dir and env out"})
		}
		if v := e.Value; len(v.Command) > 0 && v.Command[0].Raw == "" {
			report(source.Problem{Pos: v.Command[0].Pos, Width: 1, Message: "the program's name is empty"})
		}
	}
}

// CheckListen refuses addresses that others than this machine could reach.
func CheckListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address with a port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s: %q is no port, which is a number up to 65535", address, port)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is not on loopback, and what runs here is not for others", cmp.Or(host, "every address"))
}

// Program is what runs in place of an image: an [ImageDecl] with its
// expressions evaluated.
type Program struct {
	// Command is the program with its first arguments; Args, where not nil,
	// stand for those of the container.
	Command []string `json:"command,omitempty"`
	Args    []string `json:"args"`
	// Dir is where it runs; "" is the folder of this process.
	Dir string `json:"dir,omitempty"`
	// Env are pairs NAME, value in the order in which they may name each other.
	Env [][2]string `json:"env,omitempty"`
	// Skip leaves containers with the image out.
	Skip bool `json:"skip,omitempty"`
}

// Programs evaluates the images of the section, by name.
func (s *Section) Programs(text func(source.Template) (string, error)) (map[string]Program, error) {
	out := map[string]Program{}
	for name, d := range s.Images.All() {
		p := Program{Dir: d.Dir.Value, Skip: d.Skip.Value}
		var err error
		if p.Command, err = texts(d.Command, text); err != nil {
			return nil, fmt.Errorf("read local.images.%s.command: %w", name, err)
		}
		if p.Args, err = texts(d.Args, text); err != nil {
			return nil, fmt.Errorf("read local.images.%s.args: %w", name, err)
		}
		for key, t := range d.Env.All() {
			v, err := text(t)
			if err != nil {
				return nil, fmt.Errorf("read local.images.%s.env.%s: %w", name, key, err)
			}
			p.Env = append(p.Env, [2]string{key, v})
		}
		out[name] = p
	}
	return out, nil
}

func texts(all []source.Template, text func(source.Template) (string, error)) ([]string, error) {
	var out []string
	if all != nil {
		out = []string{}
	}
	for _, t := range all {
		v, err := text(t)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Paths are those of the section's manifests.
func (s *Section) Paths() []string {
	var out []string
	for _, m := range s.Manifests {
		out = append(out, m.Value)
	}
	return slices.Clip(out)
}

// FlagPaths are those of the section's flags.
func (s *Section) FlagPaths() []string {
	var out []string
	for _, f := range s.Flags {
		out = append(out, f.Value)
	}
	return slices.Clip(out)
}
