//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/headgate-dev/headgate/test/runner"
	"github.com/headgate-dev/headgate/test/story"
)

// file is the pipeline of the tests.
const file = `version: 1
name: user-service
vars: {image: ""}
secrets:
  redis_url: {env: HEADGATE_TEST_REDIS}
kubernetes: {namespace: NAMESPACE}
prometheus: {url: "${{ env.HEADGATE_TEST_PROMETHEUS }}"}
redis: {url: "${{ secrets.redis_url }}"}
GATES
stages:
  - name: rollout
    canary:
      deployment: user-service
      image: "${{ vars.image }}"
      traffic: {httpRoute: user-service, drain: 1s}
      readyTimeout: 15s
      steps: STEPS
      gate: slo
`

const flagStage = `  - name: profile
    flag:
      name: FLAG
      steps: [{setPercentage: 50%}, {pause: 3s}, {setPercentage: 100%}, {pause: 2s}]
      gate: slo
`

// pipelineFile writes the file for a shop.
func (s *shop) pipelineFile(steps string, more ...string) string {
	s.t.Helper()
	text := strings.NewReplacer("GATES\n", story.Gates, "NAMESPACE", s.ns, "STEPS", steps).Replace(file)
	path := filepath.Join(s.dir, "headgate.yaml")
	if err := os.WriteFile(path, []byte(text+strings.Join(more, "")), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start starts headgate in the shop's folder.
func (s *shop) start(args ...string) *runner.Run {
	s.t.Helper()
	return runner.Start(s.t, shared.headgate, s.dir, args...)
}

// run starts "headgate run" of a release.
func (s *shop) run(path, release string, args ...string) *runner.Run {
	s.t.Helper()
	image := shared.images[release]
	if image == "" {
		image = release
	}
	return s.start(append([]string{"run", path, "--var", "image=" + image, "--report", "json=-"}, args...)...)
}
