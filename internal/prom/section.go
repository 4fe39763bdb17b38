package prom

import (
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Section is the key `prometheus` of the pipeline file.
type Section struct {
	Pos         source.Pos
	URL         source.Template             `yaml:"url" required:"true" short:"true" doc:"Address of Prometheus, or of anything with its query API under /api/v1." example:"http://prometheus:9090"`
	BasicAuth   *BasicAuth                  `yaml:"basicAuth" atmostone:"credentials" doc:"User and password."`
	BearerToken source.Template             `yaml:"bearerToken" atmostone:"credentials" doc:"A token for the header Authorization." example:"${{ secrets.prometheus_token }}"`
	CA          source.String               `yaml:"ca" doc:"PEM file with the authorities to trust in place of the system's."`
	Headers     source.Map[source.Template] `yaml:"headers" doc:"Headers to send with every query, such as X-Scope-OrgID."`
	Timeout     source.Duration             `yaml:"timeout" default:"10s" min:"100ms" max:"30s" doc:"How long one try of a query may take; there are up to three."`
}

// BasicAuth names a user.
type BasicAuth struct {
	Pos      source.Pos
	Username source.Template `yaml:"username" required:"true" doc:"The user."`
	Password source.Template `yaml:"password" required:"true" doc:"The password." example:"${{ secrets.prometheus_password }}"`
}

// Key is the name of the section in the file.
const Key = "prometheus"

// Declare returns the section for a [pipeline.Grammar].
func Declare() pipeline.Section {
	return pipeline.Section{Name: Key, Doc: "The Prometheus that gates ask.", New: func() any { return &Section{} }}
}

// Open makes a client as the file says; text evaluates templates. Nothing is
// sent yet.
func (s *Section) Open(text func(source.Template) (string, error)) (*Client, error) {
	c := Config{CAFile: s.CA.Value, Timeout: s.Timeout.Value, Headers: map[string]string{}}
	fields := []field{{"url", s.URL, &c.URL}, {"bearerToken", s.BearerToken, &c.BearerToken}}
	if s.BasicAuth != nil {
		fields = append(fields, field{"basicAuth.username", s.BasicAuth.Username, &c.Username},
			field{"basicAuth.password", s.BasicAuth.Password, &c.Password})
	}
	for _, f := range fields {
		if !f.from.IsSet() {
			continue
		}
		v, err := text(f.from)
		if err != nil {
			return nil, fmt.Errorf("read prometheus.%s: %w", f.key, err)
		}
		*f.to = v
	}
	for name, t := range s.Headers.All() {
		v, err := text(t)
		if err != nil {
			return nil, fmt.Errorf("read prometheus.headers.%s: %w", name, err)
		}
		c.Headers[name] = v
	}
	return New(c)
}

// field is a text of the file and where it goes.
type field struct {
	key  string
	from source.Template
	to   *string
}
