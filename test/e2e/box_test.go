package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun is row S6: a fresh box, the exit code passed on, working in pipes, gone at the end.
func TestRun(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "job", map[string]string{"in.txt": "one\ntwo\n"})
	r := l.asIn("e2ealice", dir, "three\n", "run", "-i", "--", "sh", "-c", "cat in.txt -; id -u; echo done > out.txt; exit 7")
	if r.code != 7 {
		t.Errorf("exit code %d, want 7: %s", r.code, r.errOut)
	}
	if want := fmt.Sprintf("one\ntwo\nthree\n%s\n", alice.Uid); r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "out.txt")); err != nil || string(b) != "done\n" {
		t.Errorf("the file it wrote: %q, %v", b, err)
	}
	for _, c := range []struct {
		argv []string
		code int
	}{{[]string{"no-such-program"}, 127}, {[]string{"/etc/passwd"}, 126}, {[]string{"true"}, 0}} {
		if r := l.asIn("e2ealice", dir, "", append([]string{"run", "--"}, c.argv...)...); r.code != c.code {
			t.Errorf("run %v: exit code %d, want %d: %s", c.argv, r.code, c.code, r.errOut)
		}
	}
	if left := docker(t, "ps", "-a", "-q", "--filter", "label=masu.owner=e2ealice", "--filter", "label=masu.run=true"); left != "" {
		t.Errorf("boxes of ended runs are left: %s", left)
	}
}

// TestWalls: a member reaches neither another's workspace nor what root could do through a folder.
func TestWalls(t *testing.T) {
	l := newLab(t)
	alice, bob := l.member("e2ealice"), l.member("e2ebob")
	dir := l.folder(alice, "thesis", nil)
	bobs := l.folder(bob, "bobs", map[string]string{"secret.txt": "bob's"})
	l.must("e2ealice", "up", "--no-check", dir)
	w := l.only("e2ealice")

	unknown := l.as("e2ebob", "stop", "no-such-thing")
	for _, name := range []string{"thesis", "e2ealice/thesis", w.ID} {
		for _, verb := range [][]string{{"stop"}, {"logs"}, {"exec", "-"}, {"open"}, {"rm", "--yes"}} {
			argv := append(append([]string{}, verb[0]), name)
			if verb[0] == "exec" {
				argv = append(argv, "--", "id")
			}
			if verb[0] == "rm" {
				argv = append(argv, "--yes")
			}
			r := l.as("e2ebob", argv...)
			if r.code == 0 || strings.Contains(r.out+r.errOut, "e2ealice/thesis is") {
				t.Errorf("bob: masu %s: code %d, said %q", strings.Join(argv, " "), r.code, r.out+r.errOut)
			}
		}
	}
	if got := l.as("e2ebob", "stop", "thesis"); strings.ReplaceAll(got.errOut, "thesis", "X") != strings.ReplaceAll(unknown.errOut, "no-such-thing", "X") || got.code != unknown.code {
		t.Errorf("another's workspace is told apart from an unknown one: %q and %q", got.errOut, unknown.errOut)
	}
	if r := l.as("e2ealice", "up", "--no-check", bobs); r.code == 0 {
		t.Error("alice has brought up bob's folder")
	}
	link := filepath.Join(alice.HomeDir, "link")
	if err := os.Symlink(bobs, link); err != nil {
		t.Fatal(err)
	}
	if r := l.as("e2ealice", "up", "--no-check", link); r.code == 0 {
		t.Error("alice has brought up bob's folder by a link")
	}

	// Root in the box, on the member's folder: rows C1 to C4.
	for _, attack := range []string{
		"cp /bin/sh ~/work/x && sudo chown 0 ~/work/x",
		"sudo touch ~/work/roots",
		"sudo cp /bin/sh ~/work/y",
		"sudo mknod ~/work/d b 8 0",
	} {
		if r := l.as("e2ealice", "exec", "thesis", "--", "sh", "-c", attack); r.code == 0 {
			t.Errorf("in the box %q succeeded", attack)
		}
	}
	if out := l.must("e2ealice", "exec", "thesis", "--", "sudo", "-n", "id", "-u"); strings.TrimSpace(out) != "0" {
		t.Errorf("sudo does not work in the box: %q", out)
	}
	if env := l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "tr '\\0' '\\n' < /proc/self/environ"); strings.Contains(env, "MASU_SPEC") {
		t.Error("the agent's own variable reached the member")
	}
	if out := l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "find / -xdev -name '*.sock' -type s 2>/dev/null; true"); strings.Contains(out, "docker") || strings.Contains(out, "masu.sock") {
		t.Errorf("sockets in the box: %s", out)
	}
	if ports := docker(t, "port", "masu-"+w.ID); ports != "" {
		t.Errorf("ports are published: %s", ports)
	}
}
