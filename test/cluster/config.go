package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed config
var configFiles embed.FS

// settings is what the templates of config/ may say.
type settings struct {
	State, Socket, PauseImage, CNIBin     string
	Bridge, NodeIP, Node, PodCIDR, Domain string
	GatewayPort, TraefikMetrics           string
	RedisPort, RedisPassword              string
	Server, CA, User                      string
	Token                                 string // either this
	Certificate, Key                      string // or these
}

func (c *cluster) settings() settings {
	return settings{
		State: c.state, Socket: c.socket(), PauseImage: pauseImage, CNIBin: cniBin,
		Bridge: bridge, NodeIP: nodeIP, Node: nodeName, PodCIDR: podCIDR, Domain: domain,
		GatewayPort: gatewayPort, TraefikMetrics: traefikMetricsAddress, RedisPort: redisPort,
		Server: "https://" + apiAddress,
	}
}

// render fills in the template config/NAME.tmpl.
func render(name string, s settings) ([]byte, error) {
	t, err := template.New(name+".tmpl").Option("missingkey=error").ParseFS(configFiles, "config/"+name+".tmpl")
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// writeConfig writes every part's configuration into the state folder. It
// needs the certificates and the token to be there.
func (c *cluster) writeConfig() error {
	s := c.settings()
	password, err := os.ReadFile(c.path("pki", "redis-password"))
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	s.RedisPassword = string(password)
	for name, path := range map[string]string{
		"containerd.toml": "containerd.toml",
		"cni.conflist":    "cni/conf/10-bridge.conflist",
		"kubelet.yaml":    "kubelet.yaml",
		"Corefile":        "Corefile",
		"prometheus.yml":  "prometheus.yml",
		"redis.conf":      "redis.conf",
	} {
		if err := c.writeRendered(name, path, s); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.path("resolv.conf"), []byte("nameserver "+nodeIP+"\n"), 0o644); err != nil {
		return fmt.Errorf("write resolv.conf: %w", err)
	}
	return c.writeKubeconfigs()
}

func (c *cluster) writeKubeconfigs() error {
	s := c.settings()
	authority, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	s.CA = base64.StdEncoding.EncodeToString(authority)
	token, err := os.ReadFile(c.path("pki", "token"))
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	admin := s
	admin.User, admin.Token = "admin", string(token)
	if err := c.writeRendered("kubeconfig", "kubeconfig", admin); err != nil {
		return err
	}
	for _, name := range []string{"controller-manager", "scheduler", "kubelet", "proxy"} {
		part := s
		part.User = name
		part.Certificate, part.Key = c.path("pki", name+".crt"), c.path("pki", name+".key")
		if err := c.writeRendered("kubeconfig", filepath.Join("pki", name+".kubeconfig"), part); err != nil {
			return err
		}
	}
	return nil
}

// writeRendered writes for the owner alone: several of the files hold secrets.
func (c *cluster) writeRendered(name, path string, s settings) error {
	content, err := render(name, s)
	if err != nil {
		return err
	}
	path = c.path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
