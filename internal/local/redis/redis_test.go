package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/internal/local/redis"
)

// open starts a server and a client of it.
func open(t *testing.T, o redis.Options) (*redis.Server, *goredis.Client) {
	t.Helper()
	s, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, client(t, s.URL())
}

func client(t *testing.T, url string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func do(t *testing.T, c *goredis.Client, args ...any) any {
	t.Helper()
	got, err := c.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

const odd = "bytes \x00\xff\r\n that are no text"

// content is what the test below wrote, as a client sees it.
func content(t *testing.T, c *goredis.Client) map[string]any {
	t.Helper()
	ctx := t.Context()
	keys := c.Keys(ctx, "*").Val()
	slices.Sort(keys)
	return map[string]any{
		"keys": keys, "string": c.Get(ctx, "string").Val(), "list": c.LRange(ctx, "list", 0, -1).Val(),
		"set": c.SMembersMap(ctx, "set").Val(), "hash": c.HGetAll(ctx, "hash").Val(),
		"zset": c.ZRangeWithScores(ctx, "zset", 0, -1).Val(), "stream": c.XRange(ctx, "stream", "-", "+").Val(),
	}
}

func TestKeysOutliveTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	s, c := open(t, redis.Options{Snapshot: path})
	do(t, c, "SET", "string", odd)
	do(t, c, "RPUSH", "list", "b", "a", odd, "a")
	do(t, c, "SADD", "set", "b", "a", odd)
	do(t, c, "HSET", "hash", "f", "1", odd, odd)
	do(t, c, "ZADD", "zset", "1.5", "a", "+inf", "b", "-0.1", odd)
	first := do(t, c, "XADD", "stream", "*", "k", "1", "k", odd)
	do(t, c, "XADD", "stream", "*", "k", "2")
	do(t, c, "SET", odd, "x", "EX", "100")
	do(t, c, "SET", "soon", "x", "PX", "20")
	do(t, c, "SET", "gone", "x")
	do(t, c, "DEL", "gone")
	time.Sleep(30 * time.Millisecond) // soon is past
	want := content(t, c)
	if keys := want["keys"].([]string); len(keys) != 7 {
		t.Fatalf("got keys %q", keys)
	}
	for _, life := range []string{"second", "third"} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, c = open(t, redis.Options{Snapshot: path})
		if diff := cmp.Diff(want, content(t, c)); diff != "" {
			t.Errorf("%s life (-want +got):\n%s", life, diff)
		}
		if ttl := c.TTL(t.Context(), odd).Val(); ttl <= 0 || ttl > 100*time.Second {
			t.Errorf("%s life: got a time to live of %s", life, ttl)
		}
	}
	if next := do(t, c, "XADD", "stream", "*", "k", "3"); next.(string) <= first.(string) {
		t.Errorf("got id %v after %v", next, first)
	}
}

func TestDatabasesAreKeptApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	s, _ := open(t, redis.Options{Snapshot: path})
	for _, db := range []string{"/0", "/3"} {
		do(t, client(t, strings.TrimSuffix(s.URL(), "/0")+db), "SET", "a", db)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, redis.Options{Snapshot: path})
	for _, db := range []string{"/0", "/3"} {
		if got := do(t, client(t, strings.TrimSuffix(s.URL(), "/0")+db), "GET", "a"); got != db {
			t.Errorf("got %v, want %s", got, db)
		}
	}
}

// TestTimeGoesBy: keys expire by the clock, without anybody telling them to.
func TestTimeGoesBy(t *testing.T) {
	_, c := open(t, redis.Options{})
	do(t, c, "SET", "a", "1", "PX", "50")
	for end := time.Now().Add(5 * time.Second); c.Exists(t.Context(), "a").Val() != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the key is still there")
		}
	}
}

// TestAnAnsweredWriteIsInTheFile: what a client was told outlives the death
// of the process, whatever moment it comes at.
func TestAnAnsweredWriteIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	_, c := open(t, redis.Options{Snapshot: path})
	script := goredis.NewScript(`redis.call('SET', KEYS[1], ARGV[1]); redis.call('XADD', KEYS[2], '*', 'v', ARGV[1]); return 1`)
	for i := range 20 {
		n := fmt.Sprint(i)
		if err := script.Run(t.Context(), c, []string{"script", "audit"}, n).Err(); err != nil {
			t.Fatal(err)
		}
		_, err := c.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
			p.Set(t.Context(), "transaction", n, 0)
			p.Incr(t.Context(), "counter")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, c2 := open(t, redis.Options{Snapshot: copied(t, path)})
		for key, want := range map[string]string{"script": n, "transaction": n, "counter": fmt.Sprint(i + 1)} {
			if got := c2.Get(t.Context(), key).Val(); got != want {
				t.Fatalf("write %d: got %s %q", i, key, got)
			}
		}
		if got := c2.XLen(t.Context(), "audit").Val(); got != int64(i+1) {
			t.Fatalf("write %d: got %d messages", i, got)
		}
	}
}

// values are those of all keys of a snapshot; none where there is no file yet.
func values(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var snapshot struct{ Keys []struct{ Values [][]byte } }
	if err := errors.Join(err, json.Unmarshal(text, &snapshot)); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range snapshot.Keys {
		for _, v := range k.Values {
			all = append(all, string(v))
		}
	}
	return all
}

func copied(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestNoHalfScripts: a snapshot shows all of a script's or a transaction's
// writes, or none.
func TestNoHalfScripts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	_, c := open(t, redis.Options{Snapshot: path})
	script := goredis.NewScript(`for i = 1, 20 do redis.call('SET', KEYS[i], ARGV[1]) end`)
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := script.Run(t.Context(), c, keys, fmt.Sprint(w, "-", i)).Err(); err != nil && !errors.Is(err, goredis.Nil) {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]bool{}
	for len(seen) < 20 && ctx.Err() == nil {
		found := values(t, path)
		for _, v := range found {
			seen[v] = true
			if v != found[0] {
				t.Errorf("got %v in one snapshot", found)
			}
		}
	}
	cancel()
	writers.Wait()
	if len(seen) < 20 {
		t.Errorf("saw only %d writes", len(seen))
	}
}

// TestManyKeysAreWrittenBehind: with more than is waited for, writes stay
// quick, and the file follows.
func TestManyKeysAreWrittenBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	s, c := open(t, redis.Options{Snapshot: path})
	do(t, c, "SET", "large", strings.Repeat("x", redis.Waited))
	for i := range 200 {
		do(t, c, "SET", "small", i)
	}
	for end := time.Now().Add(10 * time.Second); !slices.Contains(values(t, path), "199"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file does not follow")
		}
	}
	do(t, c, "SET", "small", "last")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, c = open(t, redis.Options{Snapshot: path})
	if got := do(t, c, "GET", "small"); got != "last" {
		t.Errorf("got %v after close", got)
	}
}

// TestPushAndWaiting: messages are pushed, and a client that waits for an
// element does not keep others from being saved.
func TestPushAndWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	s, c := open(t, redis.Options{Snapshot: path})
	sub := c.Subscribe(t.Context(), "news")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	popped := make(chan error, 1)
	go func() { popped <- client(t, s.URL()).BLPop(t.Context(), 10*time.Second, "queue").Err() }()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(do(t, c, "INFO", "clients").(string), "connected_clients:3"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the one that waits never came")
		}
	}
	do(t, c, "SET", "a", "1")
	if got := do(t, c, "PUBLISH", "news", "hello"); got != int64(1) {
		t.Errorf("got %v receivers", got)
	}
	if m, err := sub.ReceiveMessage(t.Context()); err != nil || m.Payload != "hello" {
		t.Errorf("got %v, %v", m, err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"string"`) {
		t.Errorf("got %s, %v", text, err)
	}
	do(t, c, "RPUSH", "queue", "x")
	if err := <-popped; err != nil {
		t.Error(err)
	}
}

func TestPassword(t *testing.T) {
	s, _ := open(t, redis.Options{})
	at := s.URL()[strings.Index(s.URL(), "@")+1:]
	for _, url := range []string{"redis://" + at, "redis://:wrong@" + at} {
		if err := client(t, url).Set(t.Context(), "a", "1", 0).Err(); err == nil {
			t.Error("a client without the password can write")
		}
	}
	given, _ := open(t, redis.Options{Password: "p@ss/word"})
	if err := client(t, given.URL()).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestOthersCannotReachIt(t *testing.T) {
	if s, err := redis.Open(redis.Options{Listen: ":0"}); err == nil {
		_ = s.Close()
		t.Error("no error")
	}
}

// TestUnreadableSnapshots are refused, with a hint, and left as they are.
func TestUnreadableSnapshots(t *testing.T) {
	for name, text := range map[string]string{
		"empty":        "",
		"torn":         `{"format":1,"keys":[{"key":"YQ==","ty`,
		"newer":        `{"format":2}`,
		"no format":    `{"keys":[]}`,
		"unknown type": `{"format":1,"keys":[{"key":"YQ==","type":"graph","values":["YQ=="]}]}`,
		"no value":     `{"format":1,"keys":[{"key":"YQ==","type":"string"}]}`,
		"no score":     `{"format":1,"keys":[{"key":"YQ==","type":"zset","values":["YQ==","YQ=="]}]}`,
		"half a pair":  `{"format":1,"keys":[{"key":"YQ==","type":"hash","values":["YQ=="]}]}`,
		"database":     `{"format":1,"keys":[{"database":99,"key":"YQ==","type":"string","values":["YQ=="]}]}`,
		"twice":        `{"format":1,"keys":[{"key":"YQ==","type":"string","values":["YQ=="]},{"key":"YQ==","type":"set","values":["YQ=="]}]}`,
		"order":        `{"format":1,"keys":[{"key":"YQ==","type":"stream","stream":[{"id":"2-0","values":["YQ==","YQ=="]},{"id":"1-0","values":["YQ==","YQ=="]}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "redis.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := redis.Open(redis.Options{Snapshot: path})
			if e, ok := errors.AsType[*redis.UnreadableError](err); !ok || e.Hint() == "" || !strings.Contains(e.Error(), path) {
				t.Errorf("got %v, want an UnreadableError", err)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != text {
				t.Errorf("the file is now %q, %v", left, err)
			}
		})
	}
}

// TestWhatCannotBeSavedIsRefused: once the file cannot be written, nothing is
// changed any more; reading goes on, and so does writing when it can again.
func TestWhatCannotBeSavedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	_, c := open(t, redis.Options{Snapshot: path})
	do(t, c, "SET", "a", "1")
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	do(t, c, "SET", "a", "2") // the attempt that finds out
	if err := c.Set(t.Context(), "a", "3", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "MISCONF") {
		t.Errorf("got %v, want it refused", err)
	}
	if got := do(t, c, "GET", "a"); got != "2" {
		t.Errorf("got %v", got)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); c.Set(t.Context(), "a", "4", 0).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("writes are still refused")
		}
	}
	_, c2 := open(t, redis.Options{Snapshot: copied(t, path)})
	if got := do(t, c2, "GET", "a"); got != "4" {
		t.Errorf("got %v in the file", got)
	}
}

// FuzzSnapshot: no file makes it panic, and what it takes is what it writes.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"format":1,"keys":[{"key":"YQ==","type":"string","values":["YQ=="]},{"database":1,"key":"YQ==","type":"zset","values":["YQ==","MQ=="],"expires":"2999-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"format":1,"keys":[{"key":"","type":"stream","stream":[{"id":"1-1","values":["YQ==","YQ=="]}]},{"key":"bA==","type":"list","values":["",""]}]}`))
	f.Add([]byte(`{"format":1,"keys":[{"key":"aA==","type":"hash","values":["","","YQ==",""]},{"key":"cw==","type":"set","values":["",""]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := redis.Again(text)
		if err != nil {
			return
		}
		twice, err := redis.Again(once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		var a, b struct{ Keys []map[string]any }
		if err := errors.Join(json.Unmarshal(once, &a), json.Unmarshal(twice, &b)); err != nil {
			t.Fatal(err)
		}
		if len(a.Keys) != len(b.Keys) {
			t.Errorf("%d keys became %d", len(a.Keys), len(b.Keys))
		}
	})
}
