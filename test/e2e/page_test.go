//go:build e2e

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/load"
)

var fence = regexp.MustCompile("(?m)^```(.*)\n((?s:.*?))^```$")

// TestFirstCanaryPage does what the page says, in its order, with the account
// and the rights that it names.
func TestFirstCanaryPage(t *testing.T) {
	if os.Getenv("HEADGATE_TEST_KUBECTL") == "" {
		t.Skip("HEADGATE_TEST_KUBECTL is not set: the page's kubectl is missing")
	}
	s := newShop(t, 2)
	users := s.load(load.Config{Rate: 60})
	here := strings.NewReplacer("namespace: shop", "namespace: "+s.ns, "http://prometheus.example:9090", shared.prometheus)
	copied := func(from, to string) {
		b, err := os.ReadFile(filepath.Join(shared.root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, to), []byte(here.Replace(string(b))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copied("examples/kubernetes/access.yaml", "access.yaml")
	page, err := os.ReadFile(filepath.Join(shared.root, "docs/how-to/first-canary.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, m := range fence.FindAllStringSubmatch(string(page), -1) {
		info, text := strings.Fields(m[1]), m[2]
		switch {
		case len(info) == 1 && info[0] == "yaml":
			if err := os.WriteFile(filepath.Join(s.dir, "headgate.yaml"), []byte(here.Replace(text)), 0o644); err != nil {
				t.Fatal(err)
			}
		case len(info) > 1 && info[0] == "sh" && info[1] == "cluster":
			want := 0
			if len(info) > 2 {
				if want, err = strconv.Atoi(strings.TrimPrefix(info[2], "exit=")); err != nil {
					t.Fatal(err)
				}
			}
			s.shell(text, want)
			ran++
			if strings.Contains(text, "access.yaml") {
				s.become("headgate")
			}
		default:
			t.Fatalf("what is a block of %q?", m[1])
		}
	}
	if ran < 6 {
		t.Errorf("only %d blocks were run", ran)
	}
	s.is("good")
	report := users.Stop()
	for version, v := range report.Versions {
		if version != "errors" && v.Failed > 0 {
			t.Errorf("%d requests to version %q failed: %v", v.Failed, version, report.Failures)
		}
	}
}

// shell runs a block of a page as a user would.
func (s *shop) shell(text string, want int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "bash", "-e", "-c", text)
	cmd.Dir = s.dir
	path := filepath.Dir(shared.headgate) + ":" + filepath.Dir(os.Getenv("HEADGATE_TEST_KUBECTL")) + ":" + os.Getenv("PATH")
	cmd.Env = append(os.Environ(), "PATH="+path, "IMAGE="+shared.images["good"], "BAD_IMAGE="+shared.images["errors"])
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.t.Fatalf("%s ended with %d, want %d:\n%s", text, code, want, out)
	}
	if strings.Contains(string(out), "were not checked") {
		s.t.Errorf("%s could not look at all:\n%s", text, out)
	}
}

// become makes the rest of the test act as a service account of the shop.
func (s *shop) become(account string) {
	s.t.Helper()
	kubectl := func(args ...string) string {
		out, err := exec.CommandContext(s.t.Context(), os.Getenv("HEADGATE_TEST_KUBECTL"), args...).Output()
		if err != nil {
			s.t.Fatalf("kubectl %s: %v", args[0], err)
		}
		return strings.TrimSpace(string(out))
	}
	config := filepath.Join(s.dir, "kubeconfig")
	token := kubectl("-n", s.ns, "create", "token", account)
	cluster := kubectl("config", "view", "--minify", "-o", "jsonpath={.contexts[0].context.cluster}")
	b, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(config, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	kubectl("--kubeconfig", config, "config", "set-credentials", account, "--token="+token)
	kubectl("--kubeconfig", config, "config", "set-context", account, "--cluster="+cluster, "--user="+account, "--namespace="+s.ns)
	kubectl("--kubeconfig", config, "config", "use-context", account)
	s.t.Setenv("KUBECONFIG", config)
}
