//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/load/load"
)

const steps = "[{setWeight: 20%}, {pause: 6s}, {setWeight: 50%}, {pause: 6s}, {setWeight: 80%}, {pause: 6s}]"

func TestGoodReleaseIsPromotedWithoutALostRequest(t *testing.T) {
	s := newShop(t, 3)
	route := s.spec("HTTPRoute", "user-service")
	flag := s.newFlag("e2e_good_profile", 0)
	kept := s.load(load.Config{Rate: 350, Timeout: 5 * time.Second})
	fresh := s.load(load.Config{Rate: 150, Timeout: 5 * time.Second, NewConnections: true})
	r := s.run(s.pipelineFile(steps, strings.ReplaceAll(flagStage, "FLAG", flag.name)), "good")
	r.want(pipeline.Delivered)
	// What was served so far counts with what follows: the old pods are gone.
	for deadline := time.Now().Add(time.Minute); time.Since(r.all()[0].Time) < 42*time.Second && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	k, f := kept.Stop(), fresh.Stop()
	t.Logf("kept connections: %d of %d failed; new connections: %d of %d failed", k.Failed, k.Requests, f.Failed, f.Requests)
	if k.Requests+f.Requests < 20_000 {
		t.Errorf("only %d requests were sent, want 20,000", k.Requests+f.Requests)
	}
	if k.Failed+f.Failed > 0 {
		t.Logf("headgate:\n%s", r.story())
		t.Errorf("requests were lost:\nkept: %v %v\nnew: %v %v", k.Kinds, k.Failures, f.Kinds, f.Failures)
	}
	s.is("good")
	if got := s.spec("HTTPRoute", "user-service"); got != route {
		t.Errorf("the route is\n%s\nwant it as it was:\n%s", got, route)
	}
	if p := flag.percentage(); p != 100 {
		t.Errorf("the flag is at %g", p)
	}
}

func TestBadReleaseIsPutBackWithinAnInterval(t *testing.T) {
	cases := []struct {
		release string
		at      float64 // the weight from which on it is bad
		check   string  // the check that must say so
	}{
		{"errors", 20, "errorRate"},
		{"slow", 20, "latency"},
		{"later", 50, "errorRate"},
	}
	for _, tc := range cases {
		t.Run(tc.release, func(t *testing.T) {
			s := newShop(t, 2)
			spec := s.spec("Deployment", "user-service")
			users := s.load(load.Config{Rate: 200, Timeout: 5 * time.Second})
			trigger := s.newFlag("e2e_later", 0)
			r := s.run(s.pipelineFile(steps), tc.release)
			r.untilWeight(tc.at)
			if tc.at > 20 {
				trigger.set(100)
			}
			shown := s.metricShows(tc.check)
			result := r.want(pipeline.FailedRolledBack)
			if !strings.Contains(result.Reason, tc.check) {
				t.Errorf("the reason %q does not name %s", result.Reason, tc.check)
			}
			back := r.undone("route")
			t.Logf("traffic was back %s after the metric showed it", back.Sub(<-shown))
			if first := <-shown; back.Sub(first) > 2*time.Second {
				t.Errorf("traffic was back %s after the metric showed it, want within the interval of 1s and 1s", back.Sub(first))
			}
			s.isOld()
			if got := s.spec("Deployment", "user-service"); got != spec {
				t.Errorf("the Deployment is\n%s\nwant\n%s", got, spec)
			}
			report := users.Stop()
			t.Logf("users: %d of %d failed", report.Failed, report.Requests)
		})
	}
}

// metricShows asks Prometheus again and again, and tells when the canary's
// errors or slow requests first were over the limit, with as many requests as
// the gate wants to see.
func (s *shop) metricShows(check string) <-chan time.Time {
	pods := fmt.Sprintf(`{namespace=%q,pod=~"user-service-canary-.*"`, s.ns)
	bad, all := "http_requests_total"+pods+`,status=~"5.."}`, "http_requests_total"+pods+"}"
	share := 0.05
	query := fmt.Sprintf("sum(%s) / (sum(%s) > 20)", bad, all)
	if check == "latency" {
		query = fmt.Sprintf("1 - sum(http_request_duration_seconds_bucket%s,le=\"1\"}) / (sum(http_request_duration_seconds_count%s}) > 20)", pods, pods)
	}
	out := make(chan time.Time, 2)
	go func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if v, ok := ask(query); ok && v > share {
				break
			}
		}
		now := time.Now()
		out <- now
		out <- now
	}()
	return out
}

func ask(query string) (float64, bool) {
	resp, err := http.Get(shared.prometheus + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, false
	}
	var reply struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.Unmarshal(b, &reply) != nil || len(reply.Data.Result) != 1 {
		return 0, false
	}
	v, err := strconv.ParseFloat(fmt.Sprint(reply.Data.Result[0].Value[1]), 64)
	return v, err == nil
}

func TestReleaseThatDoesNotRunNeverGetsARequest(t *testing.T) {
	cases := []struct {
		name, release, says string
		within              time.Duration
	}{
		{"never ready", "unready", "ready", time.Minute},
		{"crash", "crash", "exit", time.Minute},
		{"no image", "registry/e2e/user-service:nothing", "nothing", 15 * time.Second},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t, 2)
			users := s.load(load.Config{Rate: 100})
			release := strings.Replace(tc.release, "registry/", shared.registry+"/", 1)
			began := time.Now()
			r := s.run(s.pipelineFile(steps), release)
			code := r.wait()
			took := time.Since(began)
			if code != int(pipeline.FailedRolledBack) && code != int(pipeline.FailedUnchanged) {
				t.Errorf("ended with %d", code)
			}
			if took > tc.within {
				t.Errorf("took %s, want %s", took, tc.within)
			}
			all := r.all()
			if reason := all[len(all)-1].Reason; !strings.Contains(strings.ToLower(reason), tc.says) {
				t.Errorf("the reason %q does not say %q", reason, tc.says)
			}
			s.isOld()
			report := users.Stop()
			if report.Failed > 0 {
				t.Errorf("users lost requests: %+v", report)
			}
			for version := range report.Versions {
				if version != "old" {
					t.Errorf("version %q got requests", version)
				}
			}
		})
	}
}

// TestWrongFileAndPreflightChangeNothing compares what a run could have changed
// before and after files that are wrong or ask for what is not there.
func TestWrongFileAndPreflightChangeNothing(t *testing.T) {
	s := newShop(t, 1)
	before := s.spec("HTTPRoute", "user-service") + s.spec("Deployment", "user-service")
	good := s.pipelineFile(steps)
	cases := []struct {
		name, old, new string
		ending         pipeline.Ending
	}{
		{"unknown key", "deployment:", "deploymet:", pipeline.WrongFile},
		{"no such deployment", "deployment: user-service", "deployment: nobody", pipeline.FailedUnchanged},
		{"no such route", "httpRoute: user-service", "httpRoute: nobody", pipeline.FailedUnchanged},
		{"no Prometheus", "${{ env.HEADGATE_TEST_PROMETHEUS }}", "http://127.0.0.1:1", pipeline.FailedUnchanged},
	}
	for _, tc := range cases {
		path := s.edit(good, tc.name, tc.old, tc.new)
		s.run(path, "good").want(tc.ending)
		if got := s.spec("HTTPRoute", "user-service") + s.spec("Deployment", "user-service"); got != before {
			t.Errorf("%s: something was changed:\n%s", tc.name, got)
		}
		s.isOld()
	}
}
