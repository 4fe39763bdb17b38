package prom_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/prom"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func section(t *testing.T, yaml string) (*prom.Section, error) {
	t.Helper()
	var file struct {
		Prometheus *prom.Section `yaml:"prometheus"`
	}
	problems := source.Decode(source.File{Name: "headgate.yaml", Data: []byte("prometheus: " + yaml + "\n")}, &file, source.Options{Expression: func(source.Expression) {}})
	return file.Prometheus, problems.Err()
}

func TestSection(t *testing.T) {
	plain := func(t source.Template) (string, error) {
		return strings.ReplaceAll(t.Raw, "${{ secrets.token }}", "s3cret"), nil
	}
	for _, yaml := range []string{
		`"http://prometheus:9090"`,
		`{url: "http://prometheus:9090", bearerToken: "${{ secrets.token }}", headers: {X-Scope-OrgID: shop}, timeout: 3s}`,
		`{url: "http://prometheus:9090", basicAuth: {username: me, password: "${{ secrets.token }}"}}`,
	} {
		s, err := section(t, yaml)
		if err != nil {
			t.Errorf("decode %s: %v", yaml, err)
			continue
		}
		if _, err := s.Open(plain); err != nil {
			t.Errorf("open %s: %v", yaml, err)
		}
	}
	for _, yaml := range []string{`{timeout: 3s}`, `{url: x, timeout: 3}`, `{url: x, bearerToken: a, basicAuth: {username: b, password: c}}`} {
		if _, err := section(t, yaml); err == nil {
			t.Errorf("%s: no problem found", yaml)
		}
	}
	s, err := section(t, `{url: "http://prometheus:9090", bearerToken: "${{ secrets.token }}"}`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(func(t source.Template) (string, error) {
		if t.HasExpressions() {
			return "", errors.New("secret token is not set")
		}
		return t.Raw, nil
	})
	if err == nil || err.Error() != "read prometheus.bearerToken: secret token is not set" {
		t.Errorf("got %v", err)
	}
}
