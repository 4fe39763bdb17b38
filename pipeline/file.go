package pipeline

import "github.com/headgate-dev/headgate/pipeline/source"

// Pipeline is what a pipeline file says, checked.
type Pipeline struct {
	// File is where it was read from.
	File source.File
	// Version is that of the file's format.
	Version int
	Name    string
	// Vars are the declared variables with the values that hold for this
	// run: those of the file, or those given instead.
	Vars source.Map[source.String]
	// Secrets say where secret values come from; see [Pipeline.LoadSecrets].
	Secrets source.Map[Secret]
	// OnUnfinished is what to do about an unfinished earlier run: resume,
	// rollback or stop.
	OnUnfinished string
	// Sections holds, by key, what the file says in the sections of other
	// packages, as [Section.New] made it; a section that is not in the file
	// is not in the map.
	Sections map[string]any
	// Stages are in the order of the file.
	Stages []*Stage

	programs *programs
	// uses are the places of all expressions.
	uses []use
}

// Stage is one entry of the list of stages.
type Stage struct {
	Name string
	// Kind is the key that says what the stage does.
	Kind string
	Pos  source.Pos
	// If, when set, decides whether the stage is run.
	If source.Expr
	// Timeout bounds the stage; 0 means none of its own.
	Timeout source.Duration
	// Env is added to the environment of commands.
	Env source.Map[source.Template]
	// Task does the work.
	Task Task
	// Changes is true for kinds that change the world.
	Changes bool
}

// Secret says where a secret value comes from: one of the two is set.
type Secret struct {
	Pos  source.Pos
	Env  source.String `yaml:"env" oneof:"origin" doc:"Name of the environment variable that holds the value." example:"REDIS_PASSWORD"`
	File source.String `yaml:"file" oneof:"origin" doc:"Path of the file that holds the value; one line end at its end is dropped." example:"/run/secrets/redis"`
}

// Section is a key at the top of the file that belongs to another package.
type Section struct {
	Name string
	Doc  string
	// New returns a pointer to a new declared value.
	New func() any
}

// Kind is a kind of stage.
type Kind struct {
	Name string
	Doc  string
	// New returns a new task: a pointer to a struct whose tagged fields are
	// the declaration of what the file says of it.
	New func() Task
	// Outputs are what later stages can use.
	Outputs []OutputDecl
	// Changes is true when the stage changes the world: lock and journal are
	// opened before it.
	Changes bool
}

// OutputDecl declares an output of a kind of stage.
type OutputDecl struct {
	Name string
	Doc  string
}

// OutputNamer can be implemented by a [Task] whose outputs the file declares,
// beside those of [Kind.Outputs].
type OutputNamer interface {
	// OutputNames returns the names of the outputs; it is called when the file
	// has been decoded.
	OutputNames() []string
}

// Grammar is what a pipeline file can say beyond the core.
type Grammar struct {
	Sections []Section
	Kinds    []Kind
}

// SemanticChecker can be implemented by a [Task] or by the value of a section
// that has rules which concern more of the file than itself, such as a name
// that must be declared elsewhere. It is called when its own part was decoded
// without mistakes; other parts may be incomplete in a file with mistakes.
// For a section st is nil. The File of a reported problem is filled in.
type SemanticChecker interface {
	Check(p *Pipeline, st *Stage, report func(source.Problem))
}

// SectionOf returns a section as the type that [Section.New] made, and false
// where the file does not have it.
func SectionOf[T any](p *Pipeline, name string) (T, bool) {
	v, ok := p.Sections[name].(T)
	return v, ok
}
