//go:build e2e

package route_test

import (
	"regexp"
	"strconv"
)

// nginxServices are what nginx sends to: names are enough, pods are not needed.
const nginxServices = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: shop}
spec: {selector: {app: user}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: user-canary, namespace: shop, annotations: {headgate.dev/run: "1"}}
spec: {selector: {app: user-canary}, ports: [{port: 80, targetPort: 8000}]}
`

var serverLine = regexp.MustCompile(`(server user(-canary)?:80) (weight=\d+|down|max_fails=3)( max_fails=3)?( weight=\d+)?`)

// otherWeight gives the canary a share, in the manner of a person with an
// editor.
func otherWeight(text string, weight int) string {
	return serverLine.ReplaceAllStringFunc(text, func(s string) string {
		m := serverLine.FindStringSubmatch(s)
		w := 100 - weight
		if m[2] != "" {
			w = weight
		}
		return m[1] + " max_fails=3 weight=" + strconv.Itoa(w)
	})
}
