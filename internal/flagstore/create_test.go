package flagstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/headgate-dev/headgate/internal/flagstore"
)

func TestCreateFromMakesWhatIsNotThere(t *testing.T) {
	redis := miniredis.RunT(t)
	s, err := flagstore.Open("redis://" + redis.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "flag.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, text string
		percentage float64
		wrong      string
	}{
		{name: "new", text: `{"name":"dark_mode","enabled":true,"rollout_percentage":5}`, percentage: 5},
		{name: "there", text: `{"name":"dark_mode","enabled":true,"rollout_percentage":70}`, percentage: 5},
		{name: "nameless", text: `{"enabled":true,"rollout_percentage":70}`, percentage: 5, wrong: "no name"},
		{name: "no record", text: `{"name":"dark_mode"}`, percentage: 5, wrong: "no enabled"},
		{name: "no JSON", text: `name: dark_mode`, percentage: 5, wrong: "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.CreateFrom(t.Context(), write(tt.text))
			if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("got %v, want %q", err, tt.wrong)
			}
			f, err := s.Get(t.Context(), "dark_mode")
			if err != nil || !f.Exists || f.Percentage != tt.percentage {
				t.Errorf("got %+v, %v, want %v%%", f, err, tt.percentage)
			}
		})
	}
	if err := s.CreateFrom(t.Context(), filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that is not there: got no error")
	}
}
