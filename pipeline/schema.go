package pipeline

import (
	"maps"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Schema returns the JSON Schema (2020-12) of a whole pipeline file, for
// editors.
func (g Grammar) Schema() map[string]any {
	opt := source.Options{Free: freePrefix}
	for _, s := range g.Sections {
		opt.Extra = append(opt.Extra, source.Extra{Key: s.Name, Doc: s.Doc, Into: s.New})
	}
	out := source.Schema(new(head), opt)
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["title"] = "Headgate pipeline"
	properties, ok := out["properties"].(map[string]any)
	if !ok {
		panic("pipeline: the schema of the file has no properties")
	}
	properties["version"] = map[string]any{"const": Version, "description": "Version of the file's format."}
	stages, ok := properties["stages"].(map[string]any)
	if !ok {
		panic("pipeline: the schema of the file has no stages")
	}
	stages = maps.Clone(stages)
	stages["items"] = source.Schema(new(stageHead), g.stageOptions(nil))
	properties["stages"] = stages
	return out
}

// stageOptions are those for decoding a stage: one key for every kind.
func (g Grammar) stageOptions(chosen func(Kind, Task)) source.Options {
	opt := source.Options{Path: "the stage"}
	for _, k := range g.Kinds {
		opt.Extra = append(opt.Extra, source.Extra{Key: k.Name, Doc: k.Doc, Group: kindGroup, Into: func() any {
			t := k.New()
			if chosen != nil {
				chosen(k, t)
			}
			return t
		}})
	}
	return opt
}
