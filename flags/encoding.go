package flags

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// splitObject returns the fields of a JSON object in order, their values
// untouched. The standard library's own decoding into a struct would match
// names regardless of case and let the last of two fields win.
func splitObject(text []byte) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the record is not a JSON object")
	}
	var fields []field
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("the record is not valid JSON")
		}
		if seen[name] {
			return nil, fmt.Errorf("the field %q is there twice", name)
		}
		seen[name] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errors.New("the record is not valid JSON")
		}
		fields = append(fields, field{name, raw})
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, errors.New("the record is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the record")
	}
	return fields, nil
}

// decode reads one value. Null is no value of any kind.
func decode(raw json.RawMessage, into any, expected string) error {
	if string(raw) == "null" || json.Unmarshal(raw, into) != nil {
		return errors.New("expected " + expected)
	}
	return nil
}

// encode writes a value of a kind that can be written.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("flags: encode " + fmt.Sprintf("%T", v) + ": " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decodeUsers(raw json.RawMessage, into *[]string) error {
	if string(raw) == "null" {
		return nil
	}
	var items []json.RawMessage
	if err := decode(raw, &items, "a list of texts"); err != nil {
		return err
	}
	users := make([]string, len(items))
	for i, item := range items {
		if err := decode(item, &users[i], "a list of texts"); err != nil {
			return err
		}
	}
	*into = users
	return nil
}

func encodeUsers(users []string) json.RawMessage {
	if users == nil {
		return json.RawMessage("[]")
	}
	return encode(users)
}

func decodeAttributes(raw json.RawMessage, into *map[string][]Value) error {
	if string(raw) == "null" {
		return nil
	}
	var items map[string]json.RawMessage
	if err := decode(raw, &items, "an object"); err != nil {
		return err
	}
	attributes := make(map[string][]Value, len(items))
	for name, item := range items {
		values, err := decodeValues(item)
		if err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
		attributes[name] = values
	}
	*into = attributes
	return nil
}

func decodeValues(raw json.RawMessage) ([]Value, error) {
	const expected = "a text, a number, true, false, or a list of these"
	list := []json.RawMessage{raw}
	if strings.HasPrefix(string(raw), "[") {
		if err := decode(raw, &list, expected); err != nil {
			return nil, err
		}
	}
	values := make([]Value, len(list))
	for i, item := range list {
		var v any
		if err := decode(item, &v, expected); err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case string:
			values[i] = Text(v)
		case float64:
			values[i] = Number(v)
		case bool:
			values[i] = Truth(v)
		default:
			return nil, errors.New("expected " + expected)
		}
	}
	return values, nil
}

func encodeAttributes(attributes map[string][]Value) json.RawMessage {
	out := make(map[string]any, len(attributes))
	for name, values := range attributes {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v.plain()
		}
		out[name] = list
		if len(list) == 1 {
			out[name] = list[0]
		}
	}
	return encode(out)
}

func (v Value) plain() any {
	switch v.kind {
	case numberKind:
		return v.number
	case truthKind:
		return v.number == 1
	default:
		return v.text
	}
}

func sameAttributes(a, b map[string][]Value) bool {
	return maps.EqualFunc(a, b, func(x, y []Value) bool { return slices.Equal(x, y) })
}
