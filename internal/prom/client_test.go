package prom_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/prom"
)

// transport answers requests without a network, so that it works in a
// synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func always(status int, body string) transport {
	return func(*http.Request) (*http.Response, error) { return reply(status, body) }
}

func success(data string) string { return `{"status":"success","data":` + data + `}` }

// client makes a client; its configuration may be changed.
func client(t *testing.T, f http.RoundTripper, change ...func(*prom.Config)) *prom.Client {
	t.Helper()
	c := prom.Config{URL: "http://prometheus:9090", Transport: f}
	for _, ch := range change {
		ch(&c)
	}
	p, err := prom.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReplies(t *testing.T) {
	at := time.Unix(1700000000, 0).UTC()
	cases := []struct {
		name, data string
		want       gates.Reply
	}{
		{
			"scalar", `{"resultType":"scalar","result":[1700000000,"1.5"]}`,
			gates.Reply{Kind: gates.Scalar, Series: []gates.Series{{Points: []gates.Point{{Time: at, Value: 1.5}}}}},
		},
		{"empty vector", `{"resultType":"vector","result":[]}`, gates.Reply{Kind: gates.Vector, Series: []gates.Series{}}},
		{
			"vector", `{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1700000000,"0"]}]}`,
			gates.Reply{Kind: gates.Vector, Series: []gates.Series{{Labels: map[string]string{"pod": "a"}, Points: []gates.Point{{Time: at}}}}},
		},
		{
			"matrix", `{"resultType":"matrix","result":[{"metric":{"__name__":"x"},"values":[[1699999985,"1"],[1700000000,"2"]]}]}`,
			gates.Reply{Kind: gates.Matrix, Series: []gates.Series{{
				Labels: map[string]string{"__name__": "x"},
				Points: []gates.Point{{Time: at.Add(-15 * time.Second), Value: 1}, {Time: at, Value: 2}},
			}}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := client(t, always(200, success(c.data))).Query(t.Context(), "x", at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("wrong reply (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarningsMakeAnAnswerPartial(t *testing.T) {
	body := `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["store b\n is away"]}`
	got, err := client(t, always(200, body)).Query(t.Context(), "x", time.Now())
	if err != nil || len(got.Warnings) != 1 || got.Warnings[0] != "store b is away" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestErrors: what is tried again, what is the query's fault, and what people
// read. No error holds a credential.
func TestErrors(t *testing.T) {
	cases := []struct {
		name      string
		answer    transport
		tries     int
		refused   bool
		retryable bool
		says      string
	}{
		{
			"bad data", always(400, `{"status":"error","errorType":"bad_data","error":"1:1: parse error: no expression"}`), 1, true, false,
			"prometheus refuses the query: 1:1: parse error: no expression",
		},
		{
			"execution", always(422, `{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}`), 1, true, false,
			"prometheus refuses the query: many-to-many matching not allowed",
		},
		{"503", always(503, "upstream"), 3, false, true, "prometheus answered with status 503 service unavailable"},
		{"429", always(429, ""), 3, false, true, "prometheus answered with status 429 too many requests"},
		{"401", always(401, "token s3cret is wrong"), 1, false, false, "prometheus answered with status 401 unauthorized"},
		{"404", always(404, "not here"), 1, false, false, "prometheus answered with status 404 not found"},
		{
			"timeout of its own", always(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), 3, false, true,
			"prometheus answered with status 503 service unavailable",
		},
		{"not Prometheus", always(200, "<html>sign in</html>"), 1, false, false, "what answered does not speak Prometheus' query API"},
		{
			"network", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }, 3, false, true,
			"reach prometheus: connection reset",
		},
		{"redirect to another host", func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"http://evil/steal"}}, Body: http.NoBody, Request: r}, nil
		}, 3, false, true, "reach prometheus: it redirects to another host, evil"},
		{"too large", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil
		}, 1, true, false, "prometheus' answer is larger than 32 MiB"},
		{
			"native histograms", always(200, success(`{"resultType":"vector","result":[{"metric":{},"histogram":[1700000000,{"count":"1","sum":"1","buckets":[]}]}]}`)), 1, true, false,
			"the answer holds native histograms; wrap the query in histogram_quantile, histogram_fraction or the like",
		},
		{
			"text", always(200, success(`{"resultType":"string","result":[1700000000,"x"]}`)), 1, false, false,
			"what answered does not speak Prometheus' query API",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				count := transport(func(r *http.Request) (*http.Response, error) {
					tries++
					return c.answer(r)
				})
				p := client(t, count, func(c *prom.Config) { c.URL = "http://me:s3cret@prometheus:9090/base" })
				_, err := p.Query(t.Context(), "x", time.Now())
				q, ok := errors.AsType[*gates.QueryError](err)
				if !ok {
					t.Fatalf("got %T %v, want a QueryError", err, err)
				}
				if q.Refused != c.refused || q.Retryable != c.retryable {
					t.Errorf("got refused %t, retryable %t, want %t, %t", q.Refused, q.Retryable, c.refused, c.retryable)
				}
				if got := err.Error(); got != c.says {
					t.Errorf("got %q, want %q", got, c.says)
				}
				if tries != c.tries {
					t.Errorf("got %d tries, want %d", tries, c.tries)
				}
				if strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
					t.Errorf("the error holds a credential: %v", err)
				}
			})
		})
	}
}

// endless is a reply that does not end.
type endless struct{}

var spaces = strings.Repeat(" ", 1<<20)

func (endless) Read(p []byte) (int, error) {
	return copy(p, spaces), nil
}

// TestASecondTryMayHelp: the answer of a later try counts, and all of it
// takes no longer than the pauses.
func TestASecondTryMayHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		p := client(t, transport(func(*http.Request) (*http.Response, error) {
			if tries++; tries < 3 {
				return reply(502, "")
			}
			return reply(200, success(`{"resultType":"vector","result":[]}`))
		}))
		began := time.Now()
		if _, err := p.Query(t.Context(), "x", began); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 3600*time.Millisecond {
			t.Errorf("took %s, want 3s to 3.6s", took)
		}
	})
}

// TestHanging: each try has its time, and the caller's end comes first.
func TestHanging(t *testing.T) {
	hang := transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := client(t, hang).Query(t.Context(), "x", began)
		if err == nil || err.Error() != "prometheus gave no answer within 10s" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 33*time.Second || took > 34*time.Second {
			t.Errorf("took %s, want three times 10s and the pauses", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, enough)
		defer cancel()
		if _, err := client(t, hang).Query(ctx, "x", time.Now()); !errors.Is(err, enough) {
			t.Errorf("got %v, want the cause of the context's end", err)
		}
	})
}

// TestRequest holds what is sent against what Prometheus' API takes.
func TestRequest(t *testing.T) {
	at := time.Unix(1700000000, 500_000_000).UTC()
	var got *http.Request
	var form string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_ = r.ParseForm()
		form = r.PostForm.Encode()
		fmt.Fprint(w, success(`{"resultType":"scalar","result":[1700000123.25,"1700000123.25"]}`))
	}))
	defer server.Close()
	p, err := prom.New(prom.Config{URL: server.URL + "/base", BearerToken: "s3cret", Headers: map[string]string{"X-Scope-OrgID": "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Query(t.Context(), "up", at); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/base/api/v1/query" {
		t.Errorf("got %s %s", got.Method, got.URL)
	}
	if want := "query=up&time=1700000000.5&timeout=10s"; form != want {
		t.Errorf("got %s, want %s", form, want)
	}
	if got.Header.Get("Authorization") != "Bearer s3cret" || got.Header.Get("X-Scope-OrgID") != "shop" {
		t.Errorf("got headers %v", got.Header)
	}
	now, err := p.Time(t.Context())
	if err != nil || !now.Equal(time.UnixMilli(1700000123250)) {
		t.Errorf("got %s, %v", now, err)
	}
	if strings.Contains(form, "time=") {
		t.Errorf("the question for the time holds a time: %s", form)
	}
}

// TestCredentialsStayAtTheirHost: a redirect does not carry them away.
func TestCredentialsStayAtTheirHost(t *testing.T) {
	var hosts []string
	p := client(t, transport(func(r *http.Request) (*http.Response, error) {
		user, password, _ := r.BasicAuth()
		hosts = append(hosts, r.URL.Host+" "+user+":"+password)
		if len(hosts) == 1 {
			return &http.Response{StatusCode: 308, Header: http.Header{"Location": {"https://prometheus:9090/api/v1/query"}}, Body: http.NoBody, Request: r}, nil
		}
		return reply(200, success(`{"resultType":"vector","result":[]}`))
	}), func(c *prom.Config) { c.URL = "http://me:s3cret@prometheus:9090" })
	if _, err := p.Query(t.Context(), "up", time.Now()); err != nil {
		t.Fatal(err)
	}
	want := []string{"prometheus:9090 me:s3cret", "prometheus:9090 :"}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("wrong credentials (-want +got):\n%s", diff)
	}
}

func TestCA(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, success(`{"resultType":"vector","result":[]}`))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := prom.New(prom.Config{URL: server.URL, CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Query(t.Context(), "up", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		config prom.Config
		want   string
	}{
		{"no scheme", prom.Config{URL: "prometheus:9090"}, "use prometheus url: it must begin with http:// or https:// and name a host"},
		{"nonsense", prom.Config{URL: "http://s3cret:%zz@x"}, "use prometheus url: it is not a URL"},
		{"query", prom.Config{URL: "http://x/?token=s3cret"}, "use prometheus url: it may have no ?query and no #fragment"},
		{
			"two credentials",
			prom.Config{URL: "http://x", Username: "me", BearerToken: "s3cret"},
			"use prometheus: both basic authentication and a bearer token are given",
		},
		{"no ca", prom.Config{URL: "https://x", CAFile: empty}, "read prometheus ca: " + empty + " holds no PEM certificate"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := prom.New(c.config)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// FuzzReply: whatever a server sends, there is a reply whose numbers are
// where they should be, or an error that is a QueryError.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		success(`{"resultType":"scalar","result":[1,"NaN"]}`),
		success(`{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"+Inf"]}]}`),
		success(`{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[3,"4"]]}]}`),
		success(`{"resultType":"vector","result":[null]}`),
		success(`{"resultType":"vector","result":null}`),
		success(`null`),
		`{"status":"error","errorType":"bad_data","error":"x"}`,
		`{}`, ``, `[]`, "\x00",
	} {
		f.Add(200, seed)
		f.Add(400, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status/100 == 3 || status >= 429 {
			return // redirects and what is tried again take time
		}
		got, err := client(t, always(status, body)).Query(t.Context(), "x", time.Unix(1, 0))
		if err != nil {
			if _, ok := errors.AsType[*gates.QueryError](err); !ok {
				t.Errorf("got %T %v, want a QueryError", err, err)
			}
			return
		}
		for _, s := range got.Series {
			if got.Kind != gates.Matrix && len(s.Points) != 1 {
				t.Errorf("got %d points in a %s", len(s.Points), got.Kind)
			}
		}
	})
}
