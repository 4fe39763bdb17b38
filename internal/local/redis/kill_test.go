package redis_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/local/redis"
)

// childOf names the snapshot of the server that this program shall be.
const childOf = "HEADGATE_TEST_REDIS_SNAPSHOT"

func TestMain(m *testing.M) {
	if path := os.Getenv(childOf); path != "" {
		os.Exit(child(path))
	}
	os.Exit(m.Run())
}

// child serves until it is killed.
func child(path string) int {
	s, err := redis.Open(redis.Options{Snapshot: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.URL())
	select {}
}

// TestKilled: a server that is killed amid writes loses none that it answered.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childOf+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, strings.TrimSpace(url))
	answered := 0
	for n := 1; ; n++ {
		if n == 50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Do(t.Context(), "SET", "n", n).Err(); err != nil {
			break
		}
		answered = n
	}
	_ = cmd.Wait() // killed
	if answered < 49 {
		t.Fatalf("got %d answers", answered)
	}
	_, c = open(t, redis.Options{Snapshot: path})
	if got, err := c.Get(t.Context(), "n").Int(); err != nil || got < answered || got > answered+1 {
		t.Errorf("got %d, %v, want %d", got, err, answered)
	}
}
