package flags

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxRecord is the most bytes that a record may have.
const MaxRecord = 64 << 10

// The fields of a record that this package knows.
const (
	fieldName       = "name"
	fieldEnabled    = "enabled"
	fieldPercentage = "rollout_percentage"
	fieldUsers      = "target_users"
	fieldAttributes = "target_attributes"
	fieldCreated    = "created_at"
	fieldUpdated    = "updated_at"
	fieldSchema     = "schema"
	fieldVersion    = "version"
	fieldSalt       = "salt"
)

// Record is a flag as it is kept. Fields that the text of a record has
// beyond these are kept when it is written again, byte for byte and in place.
type Record struct {
	// Name is the flag's: 1 to 128 of A-Z a-z 0-9 . _ and -.
	Name    string
	Enabled bool
	// Percentage is 0 to 100 with at most three decimals.
	Percentage float64
	// Users are the keys that the flag is narrowed to; empty means all.
	Users []string
	// Attributes narrow the flag: each must have one of its values.
	Attributes map[string][]Value
	// Salt is what buckets are made with; empty means Name.
	Salt string
	// Version counts the writes of a record that has such a field, from 1. It
	// is 0 in a record without, and then none is added.
	Version int64

	text   string
	fields []field
}

type field struct {
	name string
	raw  json.RawMessage
}

// ParseRecord reads the text of the record of a flag. It refuses what it
// cannot be sure to understand: a percentage out of range, a field given
// twice, a schema newer than this package's.
func ParseRecord(name string, text []byte) (Record, error) {
	r := Record{Name: name, text: string(text)}
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	if len(text) > MaxRecord {
		return Record{}, fmt.Errorf("the record is larger than %d bytes", MaxRecord)
	}
	if !utf8.Valid(text) {
		return Record{}, errors.New("the record is not valid UTF-8")
	}
	fields, err := splitObject(text)
	if err != nil {
		return Record{}, err
	}
	r.fields = fields
	for _, want := range []string{fieldEnabled, fieldPercentage} {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == want }) {
			return Record{}, fmt.Errorf("the record has no %s", want)
		}
	}
	for _, f := range fields {
		if err := r.take(f); err != nil {
			return Record{}, fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	return r, nil
}

// CheckName returns an error for a text that cannot be the name of a flag.
func CheckName(name string) error {
	if name == "" || len(name) > 128 {
		return errors.New("a flag's name has 1 to 128 characters")
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("the flag's name %q may hold letters, digits, '.', '_' and '-' only", name)
		}
	}
	return nil
}

// Text returns the record as it was read, "" for one that was not read.
func (r Record) Text() string { return r.text }

// Fingerprint returns a number, 0 to 2^53-1, that differs when the text that
// was read differs: unlike Version it shows every change, by whomever.
func (r Record) Fingerprint() int64 {
	h := fnv.New64a()
	h.Write([]byte(r.text)) // never an error
	return int64(h.Sum64() >> 11)
}

func (r *Record) take(f field) error {
	switch f.name {
	case fieldEnabled:
		return decode(f.raw, &r.Enabled, "true or false")
	case fieldPercentage:
		if err := decode(f.raw, &r.Percentage, "a number"); err != nil {
			return err
		}
		return checkPercentage(r.Percentage)
	case fieldUsers:
		return decodeUsers(f.raw, &r.Users)
	case fieldAttributes:
		return decodeAttributes(f.raw, &r.Attributes)
	case fieldSalt:
		return decode(f.raw, &r.Salt, "a text")
	case fieldVersion:
		if err := decode(f.raw, &r.Version, "a whole number"); err != nil {
			return err
		}
		if r.Version < 0 {
			return fmt.Errorf("%d is below 0", r.Version)
		}
	case fieldSchema:
		schema := 0
		if err := decode(f.raw, &schema, "a whole number"); err != nil {
			return err
		}
		if schema > 1 {
			return fmt.Errorf("%d is newer than 1, which this version understands", schema)
		}
	}
	return nil
}

// checkPercentage allows steps of 0.001, one bucket.
func checkPercentage(p float64) error {
	if !(p >= 0 && p <= 100) { // so that NaN is refused too
		return fmt.Errorf("%v is not within 0 and 100", p)
	}
	if t := p * 1000; math.Abs(t-math.Round(t)) > 1e-6 {
		return fmt.Errorf("%v has more than three decimals", p)
	}
	return nil
}

// MarshalJSON writes the record: what was read, with the changed fields
// replaced and nothing else touched. A record that was not read gets the
// seven fields every reader knows, and version and salt where they are set.
func (r Record) MarshalJSON() ([]byte, error) {
	if err := errors.Join(CheckName(r.Name), checkPercentage(r.Percentage)); err != nil {
		return nil, err
	}
	read := Record{Name: r.Name}
	for _, f := range r.fields {
		if err := read.take(f); err != nil {
			return nil, err
		}
	}
	fields := slices.Clone(r.fields)
	if fields == nil {
		now := encode(time.Now().UTC().Format(time.RFC3339Nano))
		fields = []field{
			{fieldName, encode(r.Name)},
			{fieldEnabled, encode(r.Enabled)},
			{fieldPercentage, encodePercentage(r.Percentage)},
			{fieldUsers, encodeUsers(r.Users)},
			{fieldAttributes, encodeAttributes(r.Attributes)},
			{fieldCreated, now},
			{fieldUpdated, now},
		}
		read = Record{Name: r.Name, Enabled: r.Enabled, Percentage: r.Percentage, Users: r.Users, Attributes: r.Attributes}
	}
	set := func(name string, changed bool, raw json.RawMessage) {
		if !changed {
			return
		}
		if i := slices.IndexFunc(fields, func(f field) bool { return f.name == name }); i >= 0 {
			fields[i].raw = raw
			return
		}
		fields = append(fields, field{name, raw})
	}
	set(fieldEnabled, r.Enabled != read.Enabled, encode(r.Enabled))
	set(fieldPercentage, r.Percentage != read.Percentage, encodePercentage(r.Percentage))
	set(fieldUsers, !slices.Equal(r.Users, read.Users), encodeUsers(r.Users))
	set(fieldAttributes, !sameAttributes(r.Attributes, read.Attributes), encodeAttributes(r.Attributes))
	set(fieldSalt, r.Salt != read.Salt, encode(r.Salt))
	set(fieldVersion, r.Version != read.Version, encode(r.Version))
	return joinObject(fields)
}

// SameMeaning reports whether two records say the same, whatever their
// version and time of update. The order of fields does not count.
func (r Record) SameMeaning(other Record) bool {
	a, errA := r.meaning()
	b, errB := other.meaning()
	return errA == nil && errB == nil && a == b
}

func (r Record) meaning() (string, error) {
	text, err := r.MarshalJSON()
	if err != nil {
		return "", err
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return "", err
	}
	delete(fields, fieldVersion)
	delete(fields, fieldUpdated)
	return string(encode(fields)), nil
}

// touched returns the record with a version one higher and the time of
// update, each only where the record has such a field.
func (r Record) touched(now time.Time) Record {
	if r.Version > 0 {
		r.Version++
	}
	if i := slices.IndexFunc(r.fields, func(f field) bool { return f.name == fieldUpdated }); i >= 0 {
		r.fields = slices.Clone(r.fields)
		r.fields[i].raw = encode(now.UTC().Format(time.RFC3339Nano))
	}
	return r
}

func joinObject(fields []field) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(f.name))
		b.WriteByte(':')
		b.Write(f.raw)
	}
	b.WriteByte('}')
	if b.Len() > MaxRecord {
		return nil, fmt.Errorf("the record would be larger than %d bytes", MaxRecord)
	}
	return b.Bytes(), nil
}

func encodePercentage(p float64) json.RawMessage {
	return strconv.AppendFloat(nil, p, 'f', -1, 64)
}
