//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/headgate-dev/headgate/test/nginx"
)

// front is an nginx of the team's own, whose ConfigMap names one Service: the
// other one's line is made by the first switch.
const front = `
apiVersion: v1
kind: ConfigMap
metadata: {name: front}
data:
  nginx.conf: |
    events {}
    http {
        upstream users {
            server SERVICE:80 max_fails=0;
        }
        server {
            listen 80;
            location / { proxy_pass http://users; }
        }
    }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers:
      - name: nginx
        image: IMAGE
        command: [nginx, -c, /etc/headgate/nginx.conf, -g, daemon off;]
        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
        volumeMounts: [{name: config, mountPath: /etc/headgate}]
      volumes: [{name: config, configMap: {name: front}}]
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {type: NodePort, selector: {app: front}, ports: [{port: 80}]}
`

// placeBlueBehindNginx makes the blue colour and an nginx in front of it.
func (s *shop) placeBlueBehindNginx(release string) {
	s.t.Helper()
	s.rewrite("service.yaml", "name: user-service\n", "name: user-service-blue\n", "selector: {app: user-service}", "selector: {app: user-service, version: blue}")
	s.blueDeployment(release)
	s.placeFront("user-service-blue")
}

// placeBehindNginx makes the workload and an nginx in front of it.
func (s *shop) placeBehindNginx(release string) {
	s.t.Helper()
	s.rewrite("deployment.yaml", shared.images["old"], shared.images[release])
	s.placeFront("user-service")
}

// placeFront makes the workload as the manifests have it, and nginx in front
// of its Service.
func (s *shop) placeFront(service string) {
	s.t.Helper()
	for _, file := range []string{"service.yaml", "deployment.yaml"} {
		for _, u := range s.read(file) {
			s.create(u)
		}
	}
	image, err := nginx.Image(s.t.Context(), shared.registry)
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.NewReplacer("SERVICE", service, "IMAGE", image).Replace(front)
	for d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096); ; {
		u := &unstructured.Unstructured{}
		err := d.Decode(u)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		u.SetNamespace(s.ns)
		s.create(u)
	}
	s.readyDeployment(service)
	s.readyDeployment("front")
	s.served(s.frontPort(), "")
}

// frontPort is the address of nginx on this machine.
func (s *shop) frontPort() string {
	s.t.Helper()
	ports, _, _ := unstructured.NestedSlice(s.get("Service", "front").Object, "spec", "ports")
	return fmt.Sprintf("http://127.0.0.1:%d", ports[0].(map[string]any)["nodePort"].(int64))
}
