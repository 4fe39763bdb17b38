package flagstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/headgate-dev/headgate/flags"
)

// CreateFrom makes the flag whose record, as JSON, a file holds. A flag that
// is there already is left as it is.
func (s *Store) CreateFrom(ctx context.Context, path string) error {
	r, err := readRecord(path)
	if err != nil {
		return fmt.Errorf("read flag from %s: %w", path, err)
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	if _, err := s.admin.Get(ctx, r.Name); !errors.Is(err, flags.ErrNotFound) {
		return err
	}
	_, err = s.admin.Create(ctx, r, flags.Note{Actor: actor, Action: "create", Reason: "the file names it"})
	var conflict *flags.ConflictError
	if errors.As(err, &conflict) { // somebody else has just made it
		return nil
	}
	return err
}

func readRecord(path string) (flags.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return flags.Record{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, flags.MaxRecord+1))
	if err != nil {
		return flags.Record{}, err
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(text, &named); err != nil {
		return flags.Record{}, err
	}
	if named.Name == "" {
		return flags.Record{}, errors.New("the record has no name")
	}
	return flags.ParseRecord(named.Name, text)
}
