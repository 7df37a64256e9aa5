package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

var alice = masu.User{Name: "alice", UID: 30001, GID: 30001, Home: "/home/alice", Groups: []masu.Group{{Name: "lab", GID: 500}, {Name: "video", GID: 44}}}

func TestMainRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"x"}, {"exec"}, {"exec", "true"}, {"exec", "--"}, {"kill"}, {"kill", "../x"}, {"kill", "a", "b"}, {"passwd", "x"}} {
		if code := Main(t.Context(), args); code != exitUsage {
			t.Errorf("masu agent %q ended with %d", args, code)
		}
	}
}

func TestTakeSpec(t *testing.T) {
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MASU_") {
			t.Setenv(name, value) // so that it comes back
		}
	}
	t.Setenv("MASU_OTHER", "x")
	t.Setenv("MASU_SPEC", `{"user":{"name":"alice","uid":30001,"gid":30001,"home":"/home/alice"},"work":"/home/alice/work","apps":["jupyter"]}`)
	spec, err := takeSpec()
	if err != nil || spec.User.UID != 30001 || spec.Apps[0].Name != "jupyter" {
		t.Errorf("%+v, %v", spec, err)
	}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "MASU_") {
			t.Errorf("%s is passed on", kv)
		}
	}
	if _, err := takeSpec(); err == nil {
		t.Error("a box without MASU_SPEC")
	}
}

func TestCheckSpec(t *testing.T) {
	good := masu.AgentSpec{User: alice, Work: "/home/alice/work"}
	for name, change := range map[string]func(*masu.AgentSpec){
		"":                 func(*masu.AgentSpec) {},
		"no name":          func(s *masu.AgentSpec) { s.User.Name = "" },
		"a line break":     func(s *masu.AgentSpec) { s.User.Name = "a\nroot" },
		"a colon":          func(s *masu.AgentSpec) { s.User.Name = "a:b" },
		"a path":           func(s *masu.AgentSpec) { s.User.Name = "../a" },
		"an option":        func(s *masu.AgentSpec) { s.User.Name = "-a" },
		"root's number":    func(s *masu.AgentSpec) { s.User.UID = 0 },
		"root's name":      func(s *masu.AgentSpec) { s.User.Name = "root" },
		"below zero":       func(s *masu.AgentSpec) { s.User.GID = -1 },
		"home is all":      func(s *masu.AgentSpec) { s.User.Home = "/" },
		"home is relative": func(s *masu.AgentSpec) { s.User.Home = "home" },
		"home breaks out":  func(s *masu.AgentSpec) { s.User.Home = "/home/../etc" },
		"home with colon":  func(s *masu.AgentSpec) { s.User.Home = "/home:x" },
		"no work":          func(s *masu.AgentSpec) { s.Work = "" },
		"a group's name":   func(s *masu.AgentSpec) { s.User.Groups = []masu.Group{{Name: "x\nsudo", GID: 1}} },
	} {
		s := good
		change(&s)
		if err := checkSpec(s); err != nil != (name != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := masu.AgentSpec{User: masu.User{Name: "root", Home: "/root"}, Work: "/root/work"}
	if err := checkSpec(root); err != nil {
		t.Errorf("root: %v", err)
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 77 88 34816 90 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1000 200"
	for _, c := range []struct {
		stat string
		want process
		ok   bool
	}{
		{"5 (sh)" + tail, process{pid: 5, state: 'S', session: 88, tty: true, start: "123456"}, true},
		{"5 (a ) S 1 2 3 (x)" + tail, process{pid: 5, state: 'S', session: 88, tty: true, start: "123456"}, true},
		{"5 (z) Z 1 77 88 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0", process{pid: 5, state: 'Z', session: 88, start: "99"}, true},
		{"5 (sh) S 1", process{}, false},
		{"", process{}, false},
	} {
		if p, err := parseStat(5, c.stat); p != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %+v, %v", c.stat, p, err)
		}
	}
	self, err := readProcess(os.Getpid())
	if err != nil || self.dead() || self.start == "" {
		t.Errorf("self: %+v, %v", self, err)
	}
}
