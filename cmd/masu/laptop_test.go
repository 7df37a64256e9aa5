package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
)

// TestContexts: a member names servers, and commands go to the one in use.
func TestContexts(t *testing.T) {
	env := map[string]string{"HOME": t.TempDir()}
	do := func(want string, args ...string) {
		t.Helper()
		code, out, errs := try(t, env, args...)
		if code != 0 || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
	do("Commands go to gpu", "context", "add", "gpu", "ssh://alice@gpu.lab:2222")
	do("two is ssh://two", "context", "add", "two", "ssh://two/")
	do("*\tgpu\tssh://alice@gpu.lab:2222", "context", "ls")
	info, err := os.Stat(filepath.Join(env["HOME"], ".config", "masu", "contexts.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	for _, c := range []struct{ host, variable, socket, want string }{
		{"", "", "", "ssh://alice@gpu.lab:2222"},
		{"two", "", "", "ssh://two"},
		{"", "ssh://three", "", "ssh://three"},
		{"two", "ssh://three", "", "ssh://two"},
		{"default", "ssh://three", "", ""},
		{"", "", "/run/masu/masu.sock", ""},
		{"two", "", "/run/masu/masu.sock", "ssh://two"},
	} {
		variables := map[string]string{"HOME": env["HOME"], "MASU_HOST": c.variable, "MASU_SOCKET": c.socket}
		a := newApp(nil, nil, nil, func(k string) string { return variables[k] }, nil)
		a.host = c.host
		err := a.chooseServer()
		got := ""
		if a.server != nil {
			got = a.server.String()
		}
		if err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if code, _, errs := try(t, env, "context", "add", "gpu", "ssh://other"); code != 1 || !strings.Contains(errs, "ssh://alice@gpu.lab:2222 already") {
		t.Errorf("another server of the same name: exit %d: %s", code, errs)
	}
	do("this machine from now on", "context", "use", "default")
	do("gpu is forgotten", "context", "rm", "gpu", "two")
	do(`{}`, "context", "ls", "--json")
}

func FuzzContexts(f *testing.F) {
	f.Add([]byte(`{"use":"gpu","servers":{"gpu":"ssh://alice@gpu"}}`))
	f.Add([]byte(`{"use":"gpu"}`))
	f.Add([]byte(`{"servers":{"-x":"ssh://gpu"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseContexts(b)
		if err != nil {
			return
		}
		if all.Use != "" && all.Servers[all.Use] == "" {
			t.Errorf("%q uses a server that is not there", b)
		}
		again, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseContexts(again); err != nil || got.Use != all.Use || len(got.Servers) != len(all.Servers) {
			t.Errorf("%q is not read back: %v", again, err)
		}
	})
}

func TestContextsThatAreWrong(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".config", "masu")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "[]", "{} {}", `{"other":1}`, `{"use":"gpu"}`, `{"servers":{"gpu":"http://gpu"}}`, `{"servers":{"default":"ssh://gpu"}}`, strings.Repeat(" ", maxContexts) + "{}"} {
		if err := os.WriteFile(filepath.Join(dir, "contexts.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := try(t, map[string]string{"HOME": home}, "ls"); code != 2 || !strings.Contains(errs, "contexts.json") {
			t.Errorf("%.40q: exit %d: %s", text, code, errs)
		}
		if code, _, errs := try(t, map[string]string{"HOME": home}, "version"); code != 0 {
			t.Errorf("masu version with %.40q: exit %d: %s", text, code, errs)
		}
	}
}

// TestFarFolders: a folder is the server's, whatever the laptop's shell made of it.
func TestFarFolders(t *testing.T) {
	lab := farLab{home: "/home/alice", there: map[string]bool{"/home/alice/work": true}}
	for said, want := range map[string]string{
		"": "/home/alice/work", ".": "/home/alice/work", "~": "/home/alice/work", "/": "/home/alice/work", "/Users/alice": "/home/alice/work", "/home/alice": "/home/alice/work",
		"thesis": "/home/alice/thesis", "./a/b/": "/home/alice/a/b", "~/thesis": "/home/alice/thesis", "/Users/alice/thesis": "/home/alice/thesis",
		"/data/shared": "/data/shared", "/Users/alicex": "/Users/alicex", "../bob": "/home/bob",
	} {
		var errs bytes.Buffer
		a := newApp(nil, nil, &errs, func(k string) string { return map[string]string{"HOME": "/Users/alice"}[k] }, nil)
		a.server = &remote.Server{Host: "gpu"}
		got, err := a.farDir(t.Context(), lab, said, true)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", said, got, err, want)
		}
		if !strings.Contains(errs.String(), want+" on gpu") {
			t.Errorf("%q: it says %q", said, errs.String())
		}
	}
	a := newApp(nil, nil, &bytes.Buffer{}, func(string) string { return "" }, nil)
	a.server = &remote.Server{Host: "gpu"}
	for said, want := range map[string][2]string{"bert": {"", "bert"}, "thesis": {"/home/alice/thesis", ""}, "": {"/home/alice/work", ""}} {
		dir, name, err := a.farProject(t.Context(), lab, said, "")
		if err != nil || dir != want[0] || name != want[1] {
			t.Errorf("up %q: %q, %q, %v", said, dir, name, err)
		}
	}
	if code, _, errs := try(t, nil, "forward", "-H", "ssh://gpu", "6006:x"); code != 2 || !strings.Contains(errs, "6006:x is no port") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// farLab is a server with one workspace, bert.
type farLab struct {
	masu.Service
	home  string
	there map[string]bool
}

func (f farLab) Whoami(context.Context) (masu.Hello, error) {
	return masu.Hello{Actor: masu.Actor{User: masu.User{Home: f.home}}}, nil
}

func (f farLab) MakeFolder(_ context.Context, dir string) error {
	if f.there[dir] {
		return masu.E(masu.Conflict, "folder_exists", dir)
	}
	return nil
}

func (f farLab) Workspace(_ context.Context, name string) (masu.Workspace, error) {
	if name != "bert" {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	return masu.Workspace{Name: name}, nil
}
