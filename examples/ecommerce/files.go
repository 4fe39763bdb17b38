// Package ecommerce holds the files of the example that run without a
// cluster, so that the program can bring them along.
package ecommerce

import (
	"embed"
	"io/fs"
)

//go:embed local.yaml new_profile_format.json deploy/*.yaml
var files embed.FS

// Pipeline is the name of the pipeline among [Files].
const Pipeline = "local.yaml"

// Files are the pipeline that `headgate demo` runs, the manifests and the
// flag that it names.
func Files() fs.FS { return files }
