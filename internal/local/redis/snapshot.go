package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// databases is how many there are, as in Redis.
const databases = 16

// format is the number of the form in which snapshots are written.
const format = 1

// maxSnapshot is how many bytes of a snapshot are read at most.
const maxSnapshot = 256 << 20

// snapshot is all keys at one moment.
type snapshot struct {
	Format int     `json:"format"`
	Keys   []entry `json:"keys"`
}

// entry is a key with its value. Texts are bytes, since Redis' need not be
// UTF-8.
type entry struct {
	Database int    `json:"database,omitempty"`
	Key      []byte `json:"key"`
	Type     string `json:"type"`
	// Values are the value of a string, the elements of a list or a set, and
	// in pairs the fields of a hash and the members and scores of a sorted set.
	Values [][]byte `json:"values,omitempty"`
	// Stream is the content of a stream.
	Stream []message `json:"stream,omitempty"`
	// Expires is the moment of its end; zero for a key that has none.
	Expires time.Time `json:"expires,omitzero"`
}

// message is an element of a stream.
type message struct {
	ID     string   `json:"id"`
	Values [][]byte `json:"values"`
}

func (s snapshot) encode() ([]byte, error) { return json.Marshal(s) }

// take reads all keys. Nobody may write meanwhile.
func take(m *miniredis.Miniredis) snapshot {
	s := snapshot{Format: format}
	for i := range databases {
		db := m.DB(i)
		for _, key := range db.Keys() {
			e := entry{Database: i, Key: []byte(key), Type: db.Type(key)}
			if !e.read(db, key) {
				continue
			}
			if ttl := db.TTL(key); ttl > 0 {
				e.Expires = time.Now().Add(ttl).UTC()
			}
			s.Keys = append(s.Keys, e)
		}
	}
	return s
}

// read fills in the value of a key; false where there is none that can be
// kept, be it that it has just expired.
func (e *entry) read(db *miniredis.RedisDB, key string) bool {
	var err error
	var all []string
	switch e.Type {
	case "string":
		all = make([]string, 1)
		all[0], err = db.Get(key)
	case "list":
		all, err = db.List(key)
	case "set":
		all, err = db.Members(key)
	case "hash":
		var fields []string
		fields, err = db.HKeys(key)
		for _, f := range fields {
			all = append(all, f, db.HGet(key, f))
		}
	case "zset":
		var scores map[string]float64
		scores, err = db.SortedSet(key)
		for member, score := range scores {
			all = append(all, member, strconv.FormatFloat(score, 'g', -1, 64))
		}
	case "stream":
		var messages []miniredis.StreamEntry
		messages, err = db.Stream(key)
		for _, m := range messages {
			e.Stream = append(e.Stream, message{ID: m.ID, Values: toBytes(m.Values)})
		}
	default:
		return false
	}
	e.Values = toBytes(all)
	return err == nil
}

func toBytes(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = []byte(s)
	}
	return out
}

func toStrings(all [][]byte) []string {
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = string(b)
	}
	return out
}

// UnreadableError is about a snapshot that cannot be used.
type UnreadableError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *UnreadableError) Error() string { return "read snapshot " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *UnreadableError) Hint() string {
	return "remove the file to begin with an empty Redis; the flags in it are lost then"
}

// load puts the keys of a file into m; a file that is not there has none.
func load(m *miniredis.Miniredis, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &UnreadableError{Path: path, Err: err}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSnapshot+1))
	if err == nil && len(text) > maxSnapshot {
		err = fmt.Errorf("it is larger than %d MiB", maxSnapshot>>20)
	}
	if err == nil {
		err = restore(m, text)
	}
	if err != nil {
		return &UnreadableError{Path: path, Err: err}
	}
	return nil
}

// restore puts the keys of a snapshot into m, which is empty.
func restore(m *miniredis.Miniredis, text []byte) error {
	var s snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s.Format != format {
		return fmt.Errorf("it has format %d, and this version knows %d", s.Format, format)
	}
	for i, e := range s.Keys {
		if e.Database < 0 || e.Database >= databases {
			return fmt.Errorf("key %d: there is no database %d", i+1, e.Database)
		}
		db := m.DB(e.Database)
		if db.Exists(string(e.Key)) {
			return fmt.Errorf("key %d is there twice", i+1)
		}
		ttl := time.Until(e.Expires)
		if !e.Expires.IsZero() && ttl <= 0 {
			continue
		}
		if err := e.write(db, string(e.Key)); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
		if !e.Expires.IsZero() {
			db.SetTTL(string(e.Key), ttl)
		}
	}
	return nil
}

// write makes the key anew.
func (e *entry) write(db *miniredis.RedisDB, key string) error {
	all := toStrings(e.Values)
	pairs := e.Type == "hash" || e.Type == "zset"
	switch {
	case e.Type == "string" && len(all) != 1:
		return fmt.Errorf("a string has one value, not %d", len(all))
	case e.Type != "stream" && len(all) == 0:
		return fmt.Errorf("a %s of nothing", e.Type)
	case pairs && len(all)%2 != 0:
		return fmt.Errorf("a %s has pairs", e.Type)
	}
	var err error
	switch e.Type {
	case "string":
		return db.Set(key, all[0])
	case "list":
		_, err = db.Push(key, all...)
	case "set":
		_, err = db.SetAdd(key, all...)
	case "hash":
		db.HSet(key, all...)
	case "zset":
		err = addScores(db, key, all)
	case "stream":
		err = addMessages(db, key, e.Stream)
	default:
		return fmt.Errorf("there is no type %q", e.Type)
	}
	return err
}

func addScores(db *miniredis.RedisDB, key string, pairs []string) error {
	for p := range slices.Chunk(pairs, 2) {
		score, err := strconv.ParseFloat(p[1], 64)
		if err != nil || math.IsNaN(score) {
			return fmt.Errorf("%q is no score", p[1])
		}
		if _, err := db.ZAdd(key, score, p[0]); err != nil {
			return err
		}
	}
	return nil
}

func addMessages(db *miniredis.RedisDB, key string, all []message) error {
	for _, m := range all {
		if len(m.Values) == 0 || len(m.Values)%2 != 0 {
			return errors.New("a message has pairs")
		}
		if _, err := db.XAdd(key, m.ID, toStrings(m.Values)); err != nil {
			return err
		}
	}
	return nil
}
