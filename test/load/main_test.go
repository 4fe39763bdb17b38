package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/load"
)

func TestRun(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Version", "v1") }))
	defer good.Close()
	bad := httptest.NewServer(http.NotFoundHandler())
	defer bad.Close()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"well", []string{"-url", good.URL, "-count", "5"}, 0, "5 requests in "},
		{"failed", []string{"-url", bad.URL, "-count", "5"}, 1, "failed by status 404: 5\n"},
		{"elsewhere", []string{"-url", "http://example.com:80", "-count", "5"}, 2, "load is for this machine alone"},
		{"no end", []string{"-url", good.URL}, 2, "a load needs an end"},
		{"unknown flag", []string{"-x"}, 2, "flag provided but not defined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), tt.args, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("got %d and\n%s\nwant %d and %q", code, out.String(), tt.code, tt.want)
			}
		})
	}
	var out bytes.Buffer
	run(t.Context(), []string{"-url", good.URL, "-count", "5", "-json"}, &out, &out)
	var r load.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Requests != 5 || r.Versions["v1"].Requests != 5 {
		t.Errorf("got %s, %v", out.String(), err)
	}
}
