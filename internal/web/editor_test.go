package web

import (
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// Whose the workspace is goes in by ssh; who has the engine's socket may attach; nobody else is offered either.
func TestEditorLinks(t *testing.T) {
	own := masu.Workspace{ID: "abcdefghijkl", Owner: "alice", Name: "thesis"}
	adopted := masu.Workspace{ID: "x", Owner: "alice", Name: "old", Adopted: &masu.Adoption{Container: "bert"}}
	hello := func(name masu.Username, admin, personal bool) masu.Hello {
		return masu.Hello{Actor: masu.Actor{User: masu.User{Name: name, Admin: admin}}, Personal: personal, HostName: "gpu1"}
	}
	for _, c := range []struct {
		who         string
		w           masu.Workspace
		hello       masu.Hello
		ssh, attach bool
	}{
		{"its owner", own, hello("alice", false, false), true, false},
		{"a guest", own, hello("bob", false, false), false, false},
		{"an admin", own, hello("carol", true, false), false, true},
		{"a member's own daemon", own, hello("alice", false, true), true, true},
		{"the owner of a container made by hand", adopted, hello("alice", false, false), false, false},
	} {
		e := newEditor(c.w, c.hello)
		if (e.SSH != "") != c.ssh || (e.Setup != "") != c.ssh || (e.Attach != "") != c.attach {
			t.Errorf("%s is offered %+v", c.who, e)
		}
		if c.ssh && (e.SSH != "vscode://vscode-remote/ssh-remote+thesis.masu/home/alice/work" || !strings.Contains(e.Setup, "--via gpu1")) {
			t.Errorf("%s: %+v", c.who, e)
		}
	}
}
