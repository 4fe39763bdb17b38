package kube_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
)

// A name that kustomize has made of the content already is kept; one that only
// looks like it is not.
func TestGeneratedNamesAreNotVersionedAgain(t *testing.T) {
	manifest := func(name string) []json.RawMessage {
		text := strings.NewReplacer("name: settings", "name: "+name, "LEVEL}", "info}", "PASSWORD", "x", "FIXED", "1", "PULL", "e30=", "PORT", "80").Replace(configured)
		var out []json.RawMessage
		for _, u := range kubetest.Objects(t, text) {
			b, err := u.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	sum, err := (&hasher.Hasher{}).Hash(yaml.MustParse("{apiVersion: v1, kind: ConfigMap, metadata: {name: any}, data: {level: info}}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, versioned := range map[string]bool{"settings-" + sum: false, "settings-hhhhhhhhhh": true} {
		s, c := kubetest.New(t)
		if err := c.Platform(kube.Settings{}).SetTrack(t.Context(), stable, of("1", "1", manifest(name)), -1); err != nil {
			t.Fatal(err)
		}
		if plain := slices.Contains(s.Names(), "configmaps/"+name); plain == versioned {
			t.Errorf("%s: got %v, want it versioned: %t", name, s.Names(), versioned)
		}
	}
}

// The server's own message about such a value would show it.
func TestErrorsHoldNoValuesOfSecrets(t *testing.T) {
	for _, tc := range []struct{ was, is, want string }{
		{"password: PASSWORD", "password: 918273", "read Secret password: the value of password in stringData is no text"},
		{"stringData: {password: PASSWORD}", "data: {password: 'hunter%2'}", "read Secret password: the value of password in data is not in base64"},
	} {
		_, c := kubetest.New(t)
		text := strings.NewReplacer(tc.was, tc.is, "LEVEL}", "info}", "FIXED", "1", "PULL", "e30=", "PORT", "80").Replace(configured)
		var all []json.RawMessage
		for _, u := range kubetest.Objects(t, text) {
			b, err := u.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		err := c.Platform(kube.Settings{}).SetTrack(t.Context(), stable, of("1", "1", all), -1)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "918273") || strings.Contains(err.Error(), "hunter") {
			t.Errorf("got %v, want %q and no value", err, tc.want)
		}
	}
}
