package pipeline

import (
	"fmt"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Page is a page of the reference of the file.
type Page struct {
	// Name is the key that the page is about; "file" for the file as a whole,
	// "stage" for what every stage takes.
	Name string
	// Title is the headline.
	Title string
	Doc   string
	// Fields are the keys.
	Fields []source.Field
	// Outputs are what a stage of the kind offers to later ones.
	Outputs []OutputDecl
	// Kind is set when the page is about a kind of stage.
	Kind bool
	// Changes is true for kinds of stages that change the world.
	Changes bool
}

// Reference returns the pages of the reference: the file, what every stage
// takes, the sections, and the kinds of stages, in the order of the grammar.
func (g Grammar) Reference() []Page {
	pages := []Page{
		{Name: "file", Title: "The file", Doc: "The keys at the top of a pipeline file. Keys that begin with x- are free, such as for YAML anchors.", Fields: source.Fields(new(head))},
		{Name: "stage", Title: "A stage", Doc: "What every stage takes, beside the one key that says its kind.", Fields: source.Fields(new(stageHead))},
	}
	for _, s := range g.Sections {
		pages[0].Fields = append(pages[0].Fields, source.Field{Key: s.Name, Type: "a section", Doc: s.Doc})
		pages = append(pages, Page{Name: s.Name, Title: "Section " + s.Name, Doc: s.Doc, Fields: source.Fields(s.New())})
	}
	for _, k := range g.Kinds {
		pages[1].Fields = append(pages[1].Fields, source.Field{Key: k.Name, Type: "a kind of stage", OneOf: kindGroup, Doc: k.Doc})
		pages = append(pages, Page{
			Name: k.Name, Title: "Stage " + k.Name, Doc: k.Doc, Fields: source.Fields(k.New()),
			Outputs: k.Outputs, Kind: true, Changes: k.Changes,
		})
	}
	return pages
}

// Markdown writes the page.
func (p Page) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", p.Title, p.Doc)
	if p.Changes {
		b.WriteString("\nThis stage changes the world: before it the lock is taken and the journal opened, and what it changes is put back when the run fails.\n")
	}
	if len(p.Fields) > 0 {
		b.WriteString("\n## Keys\n")
		writeFields(&b, "", p.Fields)
	} else {
		b.WriteString("\nIt has no keys.\n")
	}
	if len(p.Outputs) > 0 {
		b.WriteString("\n## Outputs\n\nLater stages use them in expressions as `stages.NAME.OUTPUT`.\n\n| output | meaning |\n|---|---|\n")
		for _, o := range p.Outputs {
			fmt.Fprintf(&b, "| `%s` | %s |\n", o.Name, cell(o.Doc))
		}
	}
	return b.String()
}

// writeFields writes a table of keys, and one for each mapping among them.
func writeFields(b *strings.Builder, path string, fields []source.Field) {
	if path != "" {
		fmt.Fprintf(b, "\n### `%s`\n", path)
	}
	b.WriteString("\n| key | takes | default | meaning |\n|---|---|---|---|\n")
	for _, f := range fields {
		def := ""
		if f.Default != "" {
			def = "`" + cell(f.Default) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Key, cell(takes(f)), def, cell(meaning(f, fields)))
	}
	for _, f := range fields {
		if len(f.Fields) == 0 {
			continue
		}
		inner := strings.TrimPrefix(path+"."+f.Key, ".")
		switch {
		case strings.HasPrefix(f.Type, "a list"):
			inner += "[]"
		case strings.HasPrefix(f.Type, "a mapping of"):
			inner += ".NAME"
		}
		writeFields(b, inner, f.Fields)
	}
}

// takes says what a key takes, with its bounds.
func takes(f source.Field) string {
	text := strings.TrimPrefix(f.Type, "a ")
	if len(f.Enum) > 0 {
		text = "`" + strings.Join(f.Enum, "`, `") + "`"
	}
	if f.Type == "a mapping" && len(f.Fields) > 0 {
		for _, inner := range f.Fields {
			if inner.Short {
				text += fmt.Sprintf(", or %s alone", inner.Key)
			}
		}
	}
	entries := ""
	if strings.HasPrefix(f.Type, "a list") {
		entries = " entries"
	}
	if entries != "" && f.Min == "1" && f.Max == "" {
		return text + ", at least one"
	}
	switch {
	case f.Min != "" && f.Min == f.Max:
		text += ", " + f.Min
	case f.Min != "" && f.Max != "":
		text += fmt.Sprintf(", %s to %s%s", f.Min, f.Max, entries)
	case f.Min != "":
		text += ", at least " + f.Min + entries
	case f.Max != "":
		text += ", at most " + f.Max + entries
	}
	return text
}

// meaning is the text of a key, with what is required beside it.
func meaning(f source.Field, all []source.Field) string {
	text := f.Doc
	switch {
	case f.Required:
		text = "**Required.** " + text
	case f.OneOf != "":
		text = "**" + groupWords("One of", "Required.", all, func(o source.Field) bool { return o.OneOf == f.OneOf }) + "** " + text
	case f.AnyOf != "":
		text = "**" + groupWords("At least one of", "Required.", all, func(o source.Field) bool { return o.AnyOf == f.AnyOf }) + "** " + text
	case f.AtMostOne != "":
		text = "**" + groupWords("At most one of", "", all, func(o source.Field) bool { return o.AtMostOne == f.AtMostOne }) + "** " + text
	}
	if len(f.Vars) > 0 {
		text += " Expressions can also use `" + strings.Join(f.Vars, "`, `") + "`."
	}
	if f.Example != "" {
		text += " Example: `" + f.Example + "`."
	}
	return strings.TrimSpace(text)
}

// groupWords names the keys of a group; a group of one is named by single.
func groupWords(words, single string, all []source.Field, in func(source.Field) bool) string {
	var keys []string
	for _, f := range all {
		if in(f) {
			keys = append(keys, f.Key)
		}
	}
	if len(keys) == 1 {
		return single
	}
	return words + " " + strings.Join(keys, ", ") + "."
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
