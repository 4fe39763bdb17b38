package route

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/stages"
)

func hosts(ns, name string) nginxHosts { return nginxHosts{service{ns, name}, "shop"} }

func TestNginxWeightIsEditedInItsPlace(t *testing.T) {
	cases := map[string]struct {
		text string
		to   float64
		want string
	}{
		"the seed's form": {
			"upstream u {\n  server user:80 weight=100;\n  server next.green.svc.cluster.local:80 down; # idle\n}",
			20, "upstream u {\n  server user:80 weight=80;\n  server next.green.svc.cluster.local:80 weight=20; # idle\n}",
		},
		"all":                       {"upstream u { server user weight=3 max_fails=2; server next.green down; }", 100, "upstream u { server user down max_fails=2; server next.green weight=100; }"},
		"none":                      {"upstream u { server user weight=1; server next.green weight=1; }", 0, "upstream u { server user weight=100; server next.green down; }"},
		"a fraction":                {"upstream u { server user; server next.green down; }", 0.5, "upstream u { server user weight=199; server next.green weight=1; }"},
		"both parameters":           {"upstream u { server user; server next.green weight=5 down; }", 50, "upstream u { server user weight=50; server next.green weight=50; }"},
		"no server yet":             {"upstream u {\n\tkeepalive 8;\n\tserver user.shop.svc:80 fail_timeout=1s;\n}", 10, "upstream u {\n\tkeepalive 8;\n\tserver user.shop.svc:80 fail_timeout=1s weight=90;\n\tserver next.green.svc:80 weight=10 fail_timeout=1s;\n}"},
		"others that do not serve":  {"upstream u { server user; server sorry:80 backup; server old:80 down; }", 100, "upstream u { server user down; server next.green weight=100; server sorry:80 backup; server old:80 down; }"},
		"in http, beside lookalike": {"# upstream u { server user; }\nhttp { log_format x '{ server user; }'; upstream u { server user; server next.green down; } }", 25, "# upstream u { server user; }\nhttp { log_format x '{ server user; }'; upstream u { server user weight=75; server next.green weight=25; } }"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			us, err := nginxUpstreams(c.text, hosts("shop", "user"), hosts("green", "next"))
			if err != nil || len(us) != 1 {
				t.Fatalf("%d blocks, %v", len(us), err)
			}
			got, err := us[0].at(c.to, hostLike(us[0].old.d.words[1].text, service{"green", "next"}, "shop"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestNginxUpstreamThatIsNotClearIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"upstream u { server user; server third; }":            "of neither track",
		"upstream u { server user; server user.shop:81; }":     "two servers of the same track",
		"upstream u { server user weight=-1; }":                "weight=-1",
		"upstream u { server user; ":                           "line 1: it ends within a directive",
		"upstream u { server user; } }":                        "unexpected \"}\"",
		"upstream u {\n server \"user; }":                      "line 2: a quote is not closed",
		strings.Repeat("a { ", 40) + strings.Repeat("} ", 40):  "nested too deep",
		"upstream u { server user; server next.green.svc; ; }": "unexpected ';'",
	} {
		if _, err := nginxUpstreams(text, hosts("shop", "user"), hosts("green", "next")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// FuzzNginxEdit: an edit reads as what was asked for, and leaves every byte
// outside both servers as it was; putting back leaves no trace.
func FuzzNginxEdit(f *testing.F) {
	f.Add("upstream u { server user weight=100; server next.green down; }", 20.0)
	f.Add("http { upstream \"u\" {\n server 'user:80' ; # x\n\tserver sorry backup;\n} }", 0.5)
	f.Add("upstream u { server user down weight=3; server next.green.svc.x:80 weight=2 slow_start=3s; }\n\\", 99.9)
	f.Fuzz(func(t *testing.T, text string, to float64) {
		old, next := hosts("shop", "user"), hosts("green", "next")
		us, err := nginxUpstreams(text, old, next)
		if err != nil || len(us) != 1 || us[0].old == nil {
			return
		}
		u := us[0]
		got, err := u.at(to, "next.green")
		if err != nil {
			return
		}
		again, err := nginxUpstreams(got, old, next)
		if err != nil || len(again) != 1 {
			t.Fatalf("%q became %q: %v", text, got, err)
		}
		if w, err := again[0].weight(); err != nil || math.Abs(w-to) > 2*tolerance {
			t.Fatalf("%q at %v became %q: %v, %v", text, to, got, w, err)
		}
		was := nginxSnapshot{Upstream: u.name, Old: u.old.text(text), New: u.new.text(text)}
		back, err := again[0].restored(was)
		if err != nil || back != text {
			t.Fatalf("%q became %q and was put back to %q, %v", text, got, back, err)
		}
		outside := func(u *nginxUpstream) string {
			var edits []edit
			for _, s := range []*nginxServer{u.old, u.new} {
				if s != nil {
					edits = append(edits, edit{s.d.start, s.d.end, ""})
				}
			}
			return edited(u.text, edits)
		}
		if u.new != nil && outside(u) != outside(again[0]) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// FuzzNginxState: nothing that a pod prints makes reading it panic.
func FuzzNginxState(f *testing.F) {
	f.Add([]byte("1 (nginx) S 0 1\nnginx: master process nginx -c /x/nginx.conf -g daemon off;\x00\n8 (nginx) S 1 1\nnginx: worker process\x00\x00\nfile\nevents {}"))
	f.Fuzz(func(_ *testing.T, out []byte) { _, _ = readNginxState(out) })
}

func TestNginxStateIsRead(t *testing.T) {
	s, err := readNginxState([]byte("1 (nginx) S 0 1\nnginx: master process /usr/sbin/nginx -p /x -c /x/nginx.conf -g daemon off;\x00\n8 (nginx) S 1 1\nnginx: worker process\x00\x00\n" +
		"7 (nginx) S 1 1\nnginx: worker process is shutting down\n9 (nginx) S 77 1\nnginx: worker process\nfile\nevents {}\nfile\n"))
	want := nginxState{master: 1, program: "/usr/sbin/nginx", conf: "/x/nginx.conf", prefix: "/x", workers: map[int]bool{8: true}, file: "events {}\nfile\n"}
	if d := cmp.Diff(want, s, cmp.AllowUnexported(nginxState{})); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// FuzzNginxDump: no dump makes it panic, and the candidate is in what comes of
// one that names its file.
func FuzzNginxDump(f *testing.F) {
	f.Add("# configuration file /etc/nginx/nginx.conf:\nhttp { include mime.types; include conf.d/*.conf; }\n# configuration file /etc/nginx/conf.d/a.conf:\nx;\n", "/etc/nginx/conf.d/a.conf")
	f.Fuzz(func(t *testing.T, dump, file string) {
		if got, err := readNginxDump(dump).with(file, "candidate 1;"); err == nil && !strings.Contains(got, "candidate 1;") {
			t.Errorf("%q", got)
		}
	})
}

func TestNginxCandidateTakesThePlaceOfItsFile(t *testing.T) {
	dump := "# configuration file /etc/nginx/nginx.conf:\nuser x;\nhttp {\n  include mime.types;\n  include conf.d/*.conf;\n}\n" +
		"# configuration file /etc/nginx/mime.types:\ntypes {}\n" +
		"# configuration file /etc/nginx/conf.d/a.conf:\nserver {}\n# configuration file /etc/nginx/conf.d/shop.conf:\nold;\n"
	got, err := readNginxDump(dump).with("/etc/nginx/conf.d/shop.conf", "new;")
	want := "user x;\nhttp {\n  include mime.types;\n  include \"/etc/nginx/conf.d/a.conf\";\nnew;\n\n}"
	if err != nil || strings.TrimSpace(got) != want {
		t.Errorf("%v: got\n%s\nwant\n%s", err, got, want)
	}
	if _, err := readNginxDump(dump).with("/etc/other/shop.conf", "new;"); err == nil || hint(err) == "" {
		t.Errorf("a file that nginx does not read: %v", err)
	}
}

func TestPodsOfWeights(t *testing.T) {
	r := &Replicas{}
	for _, c := range []struct {
		weight   float64
		size     int
		old, new int
	}{
		{0, 10, 10, 0},
		{1, 10, 10, 1},
		{20, 10, 10, 3},
		{40, 10, 10, 7},
		{50, 10, 10, 10},
		{60, 10, 7, 10},
		{80, 10, 3, 10},
		{99, 10, 1, 10},
		{100, 10, 0, 10},
		{20, 1, 1, 1},
		{80, 1, 1, 1},
		{33, 3, 3, 1},
	} {
		if o, n := r.Pods(c.weight, c.size); o != c.old || n != c.new {
			t.Errorf("%v of %d: got %d and %d, want %d and %d", c.weight, c.size, o, n, c.old, c.new)
		}
	}
}

// FuzzPodSnapshots: no snapshot makes reading it panic.
func FuzzPodSnapshots(f *testing.F) {
	for _, v := range []any{
		nginxSnapshot{Router: stages.NginxRouter, Namespace: "a", Route: "b", Upstream: "u", Key: "k", OldService: "a/b", NewService: "a/c", Old: "server b;"},
		serviceSnapshot{Router: stages.ServiceRouter, Namespace: "a", Route: "b", Selector: map[string]string{"a": "b"}},
		replicasSnapshot{Router: stages.ReplicasRouter, Service: "s", Replicas: 3},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, was []byte) {
		if s, err := readNginxSnapshot(was); err == nil {
			if us, err := nginxUpstreams("upstream u { server b; server c; }", nginxHosts{serviceOf(s.OldService), "a"}, nginxHosts{serviceOf(s.NewService), "a"}); err == nil && len(us) > 0 {
				_, _ = us[0].restored(s)
			}
		}
		_, _ = readServiceSnapshot(was)
		_, _ = readReplicasSnapshot(was)
	})
}
