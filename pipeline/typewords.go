package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/headgate-dev/headgate/pipeline/source"
)

var (
	noOverload   = pattern(`^found no matching overload for '(.*)' applied to '(.*)'$`)
	undeclared   = pattern(`^undeclared reference to '(.*)' \(in container`)
	otherType    = pattern(`^expected type '(.*)' but found '(.*)'$`)
	notSelected  = pattern(`^type '(.*)' does not support field selection`)
	operatorForm = pattern(`^_?([-+*/%<>=!&|?:in]+)_?(:_)?$`)
)

// typeWords says in plain words what the type checker found.
func typeWords(message string, env *cel.Env) span {
	if m := noOverload().FindStringSubmatch(message); m != nil {
		return overload(m[1], m[2])
	}
	if m := undeclared().FindStringSubmatch(message); m != nil {
		var known []string
		for name := range env.Functions() {
			if nameLength(name) == len(name) {
				known = append(known, name)
			}
		}
		slices.Sort(known)
		s := span{offset: -len(m[1]), width: len(m[1]), message: fmt.Sprintf("there is no function %q", m[1])}
		if near := source.Nearest(m[1], known); near != "" {
			s.hint = fmt.Sprintf("did you mean %q?", near)
		}
		return s
	}
	if m := otherType().FindStringSubmatch(message); m != nil {
		return span{message: fmt.Sprintf("%s stands where %s is needed", typeName(m[2]), typeName(m[1])), hint: hintForText([]string{typeName(m[2])}, "||")}
	}
	if m := notSelected().FindStringSubmatch(message); m != nil {
		return span{message: fmt.Sprintf("%s has no parts", typeName(m[1]))}
	}
	return span{message: strings.ReplaceAll(message, "string", "text")}
}

// overload says why a function or operator cannot be applied.
func overload(function, arguments string) span {
	types := splitTypes(strings.TrimSuffix(arguments, ")"))
	member := ""
	if i := strings.Index(types[0], ".("); i >= 0 {
		member, types[0] = types[0][:i], types[0][i+2:]
	} else {
		types[0] = strings.TrimPrefix(types[0], "(")
	}
	var named []string
	for _, t := range types {
		if t != "" {
			named = append(named, typeName(t))
		}
	}
	if function == "@in" {
		return span{message: fmt.Sprintf("in cannot stand between %s", strings.Join(named, " and ")), hint: "in looks into lists and groups; for a part of a text write .contains(…)"}
	}
	if m := operatorForm().FindStringSubmatch(function); m != nil {
		return operator(m[1], named)
	}
	out := span{message: fmt.Sprintf("%s() does not take %s", function, strings.Join(named, ", "))}
	if len(named) == 0 {
		out.message = fmt.Sprintf("%s() needs a value", function)
	}
	if member != "" {
		out.message = fmt.Sprintf("%s() of %s does not take %s", function, typeName(member), strings.Join(named, ", "))
		if len(named) == 0 {
			out.message = fmt.Sprintf("%s() of %s needs a value", function, typeName(member))
		}
	}
	return out
}

func operator(sign string, types []string) span {
	switch {
	case sign == "?" || sign == "?:":
		if types[0] != "true or false" {
			return span{message: "before ? must stand what is true or false, not " + types[0], hint: `compare it with something, such as == "true"`}
		}
		return span{message: "both sides of : must be alike, not " + strings.Join(types[1:], " and ")}
	case len(types) == 1:
		return span{message: fmt.Sprintf("%s cannot stand before %s", sign, types[0]), hint: hintForText(types, sign)}
	}
	return span{message: fmt.Sprintf("%s cannot stand between %s", sign, strings.Join(types, " and ")), hint: hintForText(types, sign)}
}

// hintForText reminds that variables and outputs are text.
func hintForText(types []string, sign string) string {
	if !slices.Contains(types, "text") {
		return ""
	}
	switch {
	case slices.Contains(types, "a whole number"):
		return "variables and outputs are text; int(…) makes a number of it, string(…) makes text of a number"
	case slices.Contains(types, "a number"):
		return "variables and outputs are text; double(…) makes a number of it, string(…) makes text of a number"
	case sign == "!" || sign == "&&" || sign == "||":
		return `variables and outputs are text; compare them with something, such as == "true"`
	}
	return ""
}

// splitTypes splits a list of types at the commas between them.
func splitTypes(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '(' && i > 0:
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// typeName says what a type is in plain words.
func typeName(t string) string {
	switch {
	case t == "string":
		return "text"
	case t == "int", t == "uint":
		return "a whole number"
	case t == "double":
		return "a number"
	case t == "bool":
		return "true or false"
	case t == "null_type", t == "null":
		return "null"
	case t == "dyn":
		return "a value of any kind"
	case strings.HasPrefix(t, "map("):
		return "a group of values"
	case strings.HasPrefix(t, "list("):
		return "a list"
	case strings.HasPrefix(t, "optional"):
		return "a value that may be missing (add .orValue(\"…\"))"
	}
	return t
}
