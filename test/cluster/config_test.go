package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestEveryTemplateRenders(t *testing.T) {
	files, err := fs.Glob(configFiles, "config/*.tmpl")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v, want templates", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "config/"), ".tmpl")
		got, err := render(name, testCluster(t).settings())
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(got, []byte("{{")) || bytes.Contains(got, []byte("<no value>")) {
			t.Errorf("%s: got %s, want nothing left to fill in", name, got)
		}
	}
}

func TestCNIConfigurationIsJSON(t *testing.T) {
	content, err := render("cni.conflist", testCluster(t).settings())
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Plugins []struct {
			Bridge string
			IPAM   struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	plugin := config.Plugins[0]
	if plugin.Bridge != bridge || plugin.IPAM.Ranges[0][0].Subnet != podCIDR {
		t.Errorf("got %+v, want bridge %s and subnet %s", plugin, bridge, podCIDR)
	}
}

func TestKubeconfigHasEitherTokenOrCertificate(t *testing.T) {
	for _, test := range []struct {
		name      string
		settings  settings
		want, not string
	}{
		{"token", settings{User: "admin", Token: "abc"}, "token: abc", "client-certificate"},
		{"certificate", settings{User: "kubelet", Certificate: "/a.crt", Key: "/a.key"}, "client-certificate: /a.crt", "token:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := render("kubeconfig", test.settings)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got), test.want) || strings.Contains(string(got), test.not) {
				t.Errorf("got %s, want it with %q and without %q", got, test.want, test.not)
			}
		})
	}
}

func TestStateHoldsSecretsForTheOwnerAlone(t *testing.T) {
	c := testCluster(t)
	if err := c.prepareState(allPrograms()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubeconfig", "redis.conf", "pki/token", "pki/tokens.csv", "pki/redis-password", "pki/ca.key", "pki/kubelet.kubeconfig"} {
		info, err := os.Stat(c.path(name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s: got mode %o, want 600", name, got)
		}
	}
}

func TestEnvIsForAShell(t *testing.T) {
	c := testCluster(t)
	if err := c.env(io.Discard); err == nil {
		t.Error("before up: got no error, want one")
	}
	if err := c.prepareState(allPrograms()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.env(&out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "export ") || strings.ContainsAny(strings.TrimPrefix(line, "export "), " '\"$") {
			t.Errorf("got %q, want an export that needs no quoting", line)
		}
	}
	for _, want := range []string{"KUBECONFIG=" + c.kubeconfig() + "\n", "HEADGATE_TEST_GATEWAY=http://127.0.0.1:8000\n", "HEADGATE_TEST_REDIS=redis://:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want it to have %s", out.String(), want)
		}
	}
}
