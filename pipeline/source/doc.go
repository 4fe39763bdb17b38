// Package source reads YAML files into declared Go structs, and says of every
// mistake where it stands, what was expected and what was probably meant.
//
// A declaration is a struct whose fields carry tags:
//
//	type Canary struct {
//		Pos        source.Pos                         // gets the place of the mapping
//		Deployment source.String   `yaml:"deployment" required:"true" doc:"The Deployment to release."`
//		Image      source.Template `yaml:"image" doc:"Image by digest."`
//		Timeout    source.Duration `yaml:"timeout" default:"10m" min:"1s"`
//		Steps      []Step          `yaml:"steps"`
//	}
//
// # Tags
//
//   - yaml:"key" names the key; a field without it is no part of the file. An
//     embedded struct without it adds its own keys to those around it.
//   - required:"true": the key must be there.
//   - oneof:"group": exactly one key of the group must be there.
//   - anyof:"group": at least one key of the group must be there.
//   - atmostone:"group": no more than one key of the group may be there.
//   - default:"30s" is what a missing key counts as.
//   - enum:"a|b" lists the texts that are allowed.
//   - min:"0" and max:"100" bound numbers, durations and percentages, and the
//     number of entries of lists.
//   - bare:"true" lets a [Percent] be written without its sign, where a number
//     can mean nothing else.
//   - pattern:"^[a-z]+$" with words:"lower-case letters" bounds the form of a
//     text; keys:"^[A-Z]+$" with the same words bounds the keys of a [Map].
//   - short:"true" marks the field that a scalar (or, for a slice, a list) in
//     the place of the whole mapping sets.
//   - vars:"selector,window" allows further names in a [Template] or [Expr].
//   - doc:"…" and example:"…" go into the schema and the reference pages.
//
// # Values
//
// Fields are of the value types of this package ([String], [Bool], [Int],
// [Float], [Duration], [Percent], [Template], [Script], [Expr]), of types of
// other packages that implement [Scalar], of structs and pointers to structs,
// slices (one word or text can stand in the place of a list of such),
// [Map], or [Node] for what is decoded later. A pointer is nil when
// the key is missing; everything else gets its defaults.
//
// The JSON Schema ([Schema]) and the reference ([Fields]) come from the same
// declarations.
package source
