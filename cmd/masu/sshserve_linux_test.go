package main

import (
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
)

func TestSSHListen(t *testing.T) {
	for text, right := range map[string]bool{
		"": true, "off": true, "127.0.0.1:2222": true, ":2222": true, "[::1]:0": true, "localhost:22": true,
		"on": false, "2222": false, "127.0.0.1:ssh": false, "127.0.0.1:70000": false, "gpu:2222": false,
	} {
		if err := (sshConfig{Listen: text}).check(); (err == nil) != right {
			t.Errorf("%q: %v", text, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log := slog.New(slog.DiscardHandler)
	taken := serveOptions{sshListen: l.Addr().String()}
	if _, err := taken.listenSSH(t.Context(), log); masu.CodeOf(err) != "ssh_listen_taken" {
		t.Errorf("a port that is taken, and was asked for: %v", err)
	}
	off := serveOptions{sshListen: sshOff}
	if l, err := off.listenSSH(t.Context(), log); l != nil || err != nil || off.sshDoor.Port != 0 {
		t.Errorf("off: %v, %v", l, err)
	}
	on := serveOptions{sshListen: "127.0.0.1:0", hostName: "gpu"}
	open, err := on.listenSSH(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if on.sshDoor.Host != "localhost" || on.sshDoor.Port == 0 {
		t.Errorf("people are told %+v", on.sshDoor)
	}
}

// TestSSHConfigFile: what is a member's own stays as it is, and nothing is said twice.
func TestSSHConfigFile(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, ".ssh", "config")
	if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	const own = "Host gpu\n  User alice\n"
	if err := os.WriteFile(config, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	block := sshBlock(quoted("/opt/it's 100%/masu"), "")
	if !strings.Contains(block, `ProxyCommand '/opt/it'\''s 100%%/masu' ssh-proxy '%n'`) {
		t.Error(block)
	}
	for range 2 {
		path, err := writeSSHConfig(home, block)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != block {
			t.Errorf("%q, %v", b, err)
		}
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != "Include config.d/masu\n\n"+own {
		t.Errorf("%q, %v", b, err)
	}
	for _, bad := range []string{"-oProxyCommand=id", "a b", "a;id", "$(id)", "a\nb"} {
		if viaName.MatchString(bad) {
			t.Errorf("%q is taken for a host", bad)
		}
	}
}

// TestSSHBlockQuotes: what ssh puts in the place of %n is one word of the shell here, and of the one there.
func TestSSHBlockQuotes(t *testing.T) {
	dir := t.TempDir()
	show := filepath.Join(dir, "masu")
	if err := os.WriteFile(show, []byte("#!/bin/sh\nprintf '<%s>' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The other side's shell takes what it is sent as one line.
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\nshift; exec /bin/sh -c \"$*\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, via := range []string{"", "gpu"} {
		for _, name := range []string{"thesis.masu", "$(touch x).masu", "`touch x`.masu", "a;touch x;.masu", "a b&.masu", `a".masu`} {
			_, command, _ := strings.Cut(sshBlock(quoted(show), via), "ProxyCommand ")
			command, _, _ = strings.Cut(command, "\n")
			c := exec.Command("/bin/sh", "-c", "exec "+strings.ReplaceAll(command, "%n", name))
			c.Dir, c.Env = dir, []string{"PATH=" + dir + ":/usr/bin:/bin"}
			if out, err := c.CombinedOutput(); err != nil || string(out) != "<ssh-proxy><"+name+">" {
				t.Errorf("via %q, %q: %q, %v", via, name, out, err)
			}
		}
	}
	for _, word := range []string{"thesis", "thesis.masu", "'thesis.masu'"} {
		if got := proxied(word); got != "thesis" {
			t.Errorf("%s means %q", word, got)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("a name has run a program")
	}
}

// TestAgain: what ssh starts anew reaches the server that was meant.
func TestAgain(t *testing.T) {
	a := &app{}
	if got := a.again("/usr/bin/masu"); got != "'/usr/bin/masu'" {
		t.Errorf("here: %s", got)
	}
	server, err := remote.Parse("ssh://alice@gpu:2022")
	if err != nil {
		t.Fatal(err)
	}
	a.server = &server
	if got := a.again("/usr/bin/masu"); got != "'/usr/bin/masu' -H 'ssh://alice@gpu:2022'" {
		t.Errorf("there: %s", got)
	}
}
