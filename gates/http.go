package gates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// maxBody is how much of an answer is read to look for a text.
const maxBody = 1 << 20

// HTTP asks a URL. It follows no redirects: what the URL itself answers is
// what is judged.
type HTTP struct {
	Pos      source.Pos
	URL      source.Template             `yaml:"url" required:"true" short:"true" doc:"What to ask." example:"http://gateway.example/health"`
	Method   source.String               `yaml:"method" default:"GET" enum:"GET|HEAD" doc:"The method."`
	Status   source.Int                  `yaml:"status" min:"100" max:"599" doc:"The status that is well. Default: any from 200 to 299."`
	Within   source.Duration             `yaml:"within" default:"5s" min:"1ms" doc:"How long the whole answer may take."`
	Headers  source.Map[source.Template] `yaml:"headers" doc:"Headers to send; Host sets the host that is asked for."`
	Contains source.String               `yaml:"contains" doc:"A text that the body must hold, within its first MiB."`
}

// Check reports a text that could never be found.
func (c *HTTP) Check(report func(source.Problem)) {
	if c.Method.Value == http.MethodHead && c.Contains.IsSet() {
		report(source.Problem{
			Pos: c.Contains.Pos, Width: 1, Message: "the answer to HEAD has no body that could hold a text",
			Hint: "leave out method: HEAD",
		})
	}
}

// NewHTTPClient returns a client for http checks: each look makes a new
// connection, so that it goes the way that a new user would.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DialContext:       (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// errTooSlow is the cause of the end of a check's own time.
var errTooSlow = errors.New("no answer in time")

func (c *HTTP) bound() string {
	b := "status 2xx"
	if c.Status.Value != 0 {
		b = "status " + strconv.Itoa(c.Status.Value)
	}
	return b + " within " + span(c.Within.Value)
}

func (c *HTTP) ask(ctx context.Context, l look) answer {
	a := answer{bound: c.bound()}
	req, shown, err := c.request(l)
	a.query = shown
	if err != nil {
		return a.with(BadQuery, err.Error())
	}
	if l.providers.HTTP == nil {
		return a.with(NotAsked, "no HTTP client is configured")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Within.Value, errTooSlow)
	defer cancel()
	resp, err := l.providers.HTTP.Do(req.WithContext(ctx))
	if err != nil {
		return a.unanswered(ctx, err, span(c.Within.Value))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return a.unanswered(ctx, err, span(c.Within.Value))
	}
	a.value = new(float64(resp.StatusCode))
	a.good = resp.StatusCode == c.Status.Value || c.Status.Value == 0 && resp.StatusCode/100 == 2
	reason := fmt.Sprintf("status %d", resp.StatusCode)
	if !a.good {
		return a.with(Value, reason+" in place of "+strings.TrimPrefix(strings.Split(c.bound(), " within")[0], "status "))
	}
	if c.Contains.Value != "" && !strings.Contains(string(body), c.Contains.Value) {
		a.good = false
		return a.with(Value, fmt.Sprintf("%s, but the body does not hold %q", reason, c.Contains.Value))
	}
	return a.with(Value, reason)
}

// request also returns what to show of it: the URL without what may be
// secret, which is its user and its query.
func (c *HTTP) request(l look) (*http.Request, string, error) {
	raw, err := l.text(c.URL, nil)
	if err != nil {
		return nil, c.Method.Value, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, c.Method.Value, errors.New("the url must begin with http:// or https:// and name a host")
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	shown := c.Method.Value + " " + bare.String()
	req, err := http.NewRequest(c.Method.Value, raw, nil) //nolint:noctx // the caller adds it, with the deadline
	if err != nil {
		return nil, shown, errors.New("the url cannot be asked")
	}
	req.Header.Set("User-Agent", "headgate")
	for name, t := range c.Headers.All() {
		value, err := l.text(t, nil)
		if err != nil {
			return nil, shown, fmt.Errorf("header %s: %w", name, err)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return req, shown, nil
}

// unanswered tells the check's own time from the end of the look, and drops
// the URL from the error, which may hold a secret.
func (a answer) unanswered(ctx context.Context, err error, within string) answer {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errTooSlow) {
			return a.with(NoAnswer, "no answer within "+within)
		}
		return a.with(NotAsked, "not waited for: "+cause.Error())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return a.with(NoAnswer, "no answer: "+err.Error())
}
