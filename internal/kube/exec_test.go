package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
)

func TestExecIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := (&Cluster{}).WithExec(func(ctx context.Context, _ Exec) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		began := time.Now()
		_, err := c.Exec(t.Context(), Exec{Namespace: "shop", Pod: "front-1", Args: []string{"nginx", "-t"}})
		if err == nil || !strings.Contains(err.Error(), "run nginx in pod shop/front-1") || !strings.Contains(err.Error(), "it did not end within 30s") {
			t.Errorf("got the error %v", err)
		}
		if took := time.Since(began); took != execTimeout {
			t.Errorf("it took %s, want %s", took, execTimeout)
		}
	})
}

func TestExecNeedsAProgramAndAWay(t *testing.T) {
	if _, err := (&Cluster{}).Exec(t.Context(), Exec{Pod: "front-1", Args: []string{"nginx"}}); err == nil || !strings.Contains(err.Error(), "no way to reach") {
		t.Errorf("got the error %v", err)
	}
	ran := false
	c := (&Cluster{}).WithExec(func(context.Context, Exec) ([]byte, error) {
		ran = true
		return nil, nil
	})
	if _, err := c.Exec(t.Context(), Exec{Pod: "front-1"}); err == nil || ran {
		t.Errorf("got the error %v, and ran is %v", err, ran)
	}
}

func TestOutputOfExecIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	b := &bounded{full: cancel}
	if _, err := b.Write(make([]byte, maxExecOutput)); err != nil || ctx.Err() != nil {
		t.Fatalf("as much as is allowed: %v, %v", err, ctx.Err())
	}
	if _, err := b.Write([]byte("x")); err == nil || b.Len() != maxExecOutput {
		t.Errorf("got the error %v and %d bytes", err, b.Len())
	}
	if err := cause(ctx, errors.New("stream closed")); !strings.Contains(err.Error(), "it wrote more than") {
		t.Errorf("the program is ended because of %v", err)
	}
}

// TestArgumentsOfExecStayArguments: each is one value of the address.
func TestArgumentsOfExecStayArguments(t *testing.T) {
	args := []string{"sh", "-c", "cat \"$1\"", "a b&command=rm", "$(id)"}
	u, err := execURL(&rest.Config{Host: "https://api.example/clusters/a"}, Exec{Namespace: "shop", Pod: "front-1", Container: "nginx", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query()["command"]; strings.Join(got, "|") != strings.Join(args, "|") {
		t.Errorf("got the arguments %q, want %q", got, args)
	}
	if u.Path != "/clusters/a/api/v1/namespaces/shop/pods/front-1/exec" || u.Query().Has("stdin") {
		t.Errorf("the address is %s", u)
	}
}

func TestWordsOfExecAreOneShortLine(t *testing.T) {
	got := lastPartOf(strings.Repeat("é ", maxWords) + "\nthe end")
	if len(got) > maxWords+len("…") || !strings.HasSuffix(got, "é the end") || strings.Contains(got, "\n") || !strings.HasPrefix(got, "…") {
		t.Errorf("got %d bytes, %.20q to %q", len(got), got, got[len(got)-20:])
	}
}
