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

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
	"github.com/headgate-dev/headgate/test/story"
)

func TestGoodReleaseIsPromotedWithoutALostRequest(t *testing.T) {
	s := newShop(t, 3)
	route := s.spec("HTTPRoute", "user-service")
	flag := s.newFlag("e2e_good_profile", 0)
	kept := s.load(load.Config{Rate: 350, Timeout: 5 * time.Second})
	fresh := s.load(load.Config{Rate: 150, Timeout: 5 * time.Second, NewConnections: true})
	r := s.run(s.pipelineFile(story.Steps, strings.ReplaceAll(flagStage, "FLAG", flag.name)), "good")
	r.Want(pipeline.Delivered)
	// What was served so far counts with what follows: the old pods are gone.
	for deadline := time.Now().Add(time.Minute); time.Since(r.All()[0].Time) < 42*time.Second && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	k, f := kept.Stop(), fresh.Stop()
	t.Logf("kept connections: %d of %d failed; new connections: %d of %d failed", k.Failed, k.Requests, f.Failed, f.Requests)
	if k.Requests+f.Requests < 20_000 {
		t.Errorf("only %d requests were sent, want 20,000", k.Requests+f.Requests)
	}
	if k.Failed+f.Failed > 0 {
		t.Logf("headgate:\n%s", r.Story())
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

// TestStories tells all the stories but that of the good release, which has
// more requests to count.
func TestStories(t *testing.T) {
	for _, st := range story.Stories() {
		if st.Good() {
			continue
		}
		t.Run(st.Release, func(t *testing.T) {
			s := newShop(t, 2)
			before := s.spec("Deployment", "user-service")
			users := s.load(load.Config{Rate: 200, Timeout: 5 * time.Second})
			trigger := s.newFlag(story.Trigger, 0)
			release := st.Release
			if st.Missing {
				release = shared.registry + "/e2e/user-service:" + st.Release
			}
			began := time.Now()
			r := s.run(s.pipelineFile(story.Steps), release)
			shown := s.pull(r, st, trigger)
			code := r.Wait()
			took := time.Since(began)
			s.backInTime(r, shown)
			s.told(st, r, users.Stop(), pipeline.Ending(code), took)
			s.isOld()
			if got := s.spec("Deployment", "user-service"); got != before {
				t.Errorf("the Deployment is\n%s\nwant\n%s", got, before)
			}
		})
	}
}

// pull makes a release bad once it has the share of the traffic at which it
// shall be, and tells when the metric shows that; nil for one that needs no
// traffic to be bad.
func (s *shop) pull(r *runner.Run, st story.Story, trigger *flagRecord) <-chan time.Time {
	s.t.Helper()
	if st.At == 0 {
		return nil
	}
	r.UntilWeight(st.At)
	if st.At > 20 {
		trigger.set(100)
	}
	return s.metricShows(st.Check)
}

// backInTime checks how long after the metric showed it traffic was back.
func (s *shop) backInTime(r *runner.Run, shown <-chan time.Time) {
	s.t.Helper()
	if shown == nil {
		return
	}
	back, first := r.Undone("route"), <-shown
	s.t.Logf("traffic was back %s after the metric showed it", back.Sub(first))
	if back.Sub(first) > 2*time.Second {
		s.t.Errorf("traffic was back %s after the metric showed it, want within the interval of 1s and 1s", back.Sub(first))
	}
}

// told has a story judged by its table.
func (s *shop) told(st story.Story, r *runner.Run, users load.Report, ending pipeline.Ending, took time.Duration) {
	s.t.Helper()
	all := r.All()
	o := story.Outcome{
		Ending: ending, Took: took, Reason: all[len(all)-1].Reason, Weight: s.weight(),
		Requests: users.Requests, Failed: users.Failed, Versions: map[string]int{},
	}
	for name, image := range shared.images {
		if image == s.image() {
			o.Live = name
		}
	}
	for name, v := range users.Versions {
		o.Versions[name] = v.Requests
	}
	s.t.Logf("users: %d of %d failed", users.Failed, users.Requests)
	for _, wrong := range st.Judge(o) {
		s.t.Error(wrong)
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

// TestWrongFileAndPreflightChangeNothing compares what a run could have changed
// before and after files that are wrong or ask for what is not there.
func TestWrongFileAndPreflightChangeNothing(t *testing.T) {
	s := newShop(t, 1)
	before := s.spec("HTTPRoute", "user-service") + s.spec("Deployment", "user-service")
	good := s.pipelineFile(story.Steps)
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
		s.run(path, "good").Want(tc.ending)
		if got := s.spec("HTTPRoute", "user-service") + s.spec("Deployment", "user-service"); got != before {
			t.Errorf("%s: something was changed:\n%s", tc.name, got)
		}
		s.isOld()
	}
}
