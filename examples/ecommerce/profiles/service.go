package profiles

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/headgate-dev/headgate/flags"
)

// name is the value of the label "service" in metrics.
const name = "user-service"

// newFormat is the flag that the new profile format is behind.
const newFormat = "new_profile_format"

// service answers requests for profiles.
type service struct {
	version  string
	flags    *flags.Client
	bad      *faults
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newService(version string, client *flags.Client, bad *faults) *service {
	if version == "" {
		version = "dev"
	}
	s := &service{
		version: version, flags: client, bad: bad, registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered, probes and metrics not counted.",
		}, []string{"service", "path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"service", "path"}),
	}
	s.registry.MustRegister(s.requests, s.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// At 0 from the start, so that a rate sees also the first request.
	s.duration.WithLabelValues(name, profilePath)
	for _, status := range []string{"200", "500"} {
		s.requests.WithLabelValues(name, profilePath, status)
	}
	return s
}

const profilePath = "/profile/{id}"

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+profilePath, s.measured(s.profile))
	mux.HandleFunc("GET /health", s.answer(func() bool { return true }))
	mux.HandleFunc("GET /ready", s.answer(func() bool { return !s.bad.neverReady && !s.bad.dead() }))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", s.version)
		mux.ServeHTTP(w, r)
	})
}

// answer is a probe's handler.
func (s *service) answer(ok func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !ok() {
			reply(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "version": s.version})
			return
		}
		reply(w, http.StatusOK, map[string]string{"status": "ok", "version": s.version})
	}
}

// profile answers in the format that the flag says for the user.
func (s *service) profile(w http.ResponseWriter, r *http.Request) int {
	if s.bad.dead() {
		panic(http.ErrAbortHandler)
	}
	id := r.PathValue("id")
	linger(r)
	user := flags.User(id).With("country", r.URL.Query().Get("country"))
	if s.bad.strike(r.Context(), s.flags, user) {
		return reply(w, http.StatusInternalServerError, map[string]string{"error": "the profile cannot be read", "version": s.version})
	}
	if !s.flags.Bool(newFormat, false, user) {
		return reply(w, http.StatusOK, oldProfile{ID: id, Name: "User " + id, Email: id + "@example.com", Version: s.version})
	}
	return reply(w, http.StatusOK, newProfile{
		Format: 2, User: person{ID: id, DisplayName: "User " + id}, Contact: contact{Email: id + "@example.com"}, Version: s.version,
	})
}

// linger makes a request take as long as it asks for with ?takes=2s, at most
// maxTakes: some take long, and a rollout must not break them off.
func linger(r *http.Request) {
	takes, err := time.ParseDuration(r.URL.Query().Get("takes"))
	if err != nil || takes <= 0 {
		return
	}
	select {
	case <-time.After(min(takes, maxTakes)):
	case <-r.Context().Done():
	}
}

// maxTakes bounds what a request can ask for.
const maxTakes = 5 * time.Second

// measured counts what a handler, which returns its status, answers.
func (s *service) measured(h func(http.ResponseWriter, *http.Request) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		status := h(w, r)
		s.duration.WithLabelValues(name, profilePath).Observe(time.Since(start).Seconds())
		s.requests.WithLabelValues(name, profilePath, strconv.Itoa(status)).Inc()
	}
}

func reply(w http.ResponseWriter, status int, body any) int {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error means that the client has gone, which is nobody's fault here.
	_ = json.NewEncoder(w).Encode(body)
	return status
}

type oldProfile struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Version string `json:"version"`
}

type newProfile struct {
	Format  int     `json:"format"`
	User    person  `json:"user"`
	Contact contact `json:"contact"`
	Version string  `json:"version"`
}

type person struct {
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
}

type contact struct {
	Email string `json:"email"`
}
