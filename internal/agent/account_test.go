package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// newImage gives an image with these files, in a folder of the test's.
func newImage(t *testing.T, files map[string]string) image {
	t.Helper()
	i := image{root: t.TempDir(), say: func(err error) { t.Helper(); t.Error(err) }}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(i.at(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(i.at(path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func (i image) read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(i.at(path))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestUpsert(t *testing.T) {
	const line = "alice:x:30001:30001::/home/alice:/bin/bash"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", line + "\n"},
		{"added", "root:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\n" + line + "\n"},
		{"no last line break", "root:x:0:0::/root:/bin/sh", "root:x:0:0::/root:/bin/sh\n" + line + "\n"},
		{"again", line + "\n", line + "\n"},
		{"the number gives way", "ubuntu:x:30001:30001::/home/ubuntu:/bin/sh\n", line + "\n"},
		{"the name gives way, even with root's number", "alice:x:0:0::/:/bin/sh\nroot:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\n" + line + "\n"},
		{"short lines and others' parts", "x\n\nalice2:x:3000:1::/:\nb:alice:1:30001::/:\n", "x\nalice2:x:3000:1::/:\nb:alice:1:30001::/:\n" + line + "\n"},
	} {
		if got := upsert(c.text, line, "alice", "30001"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := upsert("a:x:30001:\n", "alice:*:", "alice", ""); got != "a:x:30001:\nalice:*:\n" {
		t.Errorf("without a number: %q", got)
	}
}

func TestAddGroups(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"none known", "root:x:0:\n", "root:x:0:\nalice:x:30001:\nlab:x:500:alice\nvideo:x:44:alice\n"},
		{"again", "alice:x:30001:\nlab:x:500:alice\nvideo:x:44:alice\n", "alice:x:30001:\nlab:x:500:alice\nvideo:x:44:alice\n"},
		{"the image's members stay", "video:x:44:bob\nlab:x:500:\n", "video:x:44:bob,alice\nlab:x:500:alice\nalice:x:30001:\n"},
		{"a group of the same number keeps its name", "users:x:30001:\nvision:x:500:\n", "users:x:30001:\nvision:x:500:alice\nvideo:x:44:alice\n"},
		{"a group of the same name has another number", "lab:x:7:\n", "lab:x:7:\nalice:x:30001:\nhost-lab:x:500:alice\nvideo:x:44:alice\n"},
		{"the member's own name gives way", "alice:x:7:bob\n", "alice:x:30001:\nlab:x:500:alice\nvideo:x:44:alice\n"},
	} {
		if got := addGroups(c.text, alice); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAccount(t *testing.T) {
	i := newImage(t, map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nubuntu:x:30001:30001::/home/ubuntu:/bin/sh\n",
		"/etc/group":  "root:x:0:\nsudo:x:27:\n",
		"/etc/shadow": "root:*:1::::::\n",
		"/bin/bash":   "", "/etc/sudoers.d/README": "",
	})
	if err := os.Chmod(i.at("/etc/shadow"), 0o640); err != nil {
		t.Fatal(err)
	}
	spec := masu.AgentSpec{User: alice, Work: "/home/alice/work", Sudo: true}
	for range 2 { // a box that is started again
		i.account(spec)
		if got, want := i.read(t, "/etc/passwd"), "root:x:0:0:root:/root:/bin/bash\nalice:x:30001:30001::/home/alice:/bin/bash\n"; got != want {
			t.Errorf("passwd %q", got)
		}
		if got := i.read(t, "/etc/shadow"); got != "root:*:1::::::\nalice:*:19000:0:99999:7:::\n" {
			t.Errorf("shadow %q", got)
		}
	}
	if fi, err := os.Stat(i.at("/etc/shadow")); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("shadow: %v, %v", fi.Mode(), err)
	}
	rules := i.read(t, "/etc/sudoers.d/masu")
	if !strings.Contains(rules, "\nalice ALL=(ALL:ALL) NOPASSWD: ALL\n") || !strings.Contains(rules, `secure_path="`) {
		t.Errorf("sudoers %q", rules)
	}
	if fi, err := os.Stat(i.at("/etc/sudoers.d/masu")); err != nil || fi.Mode().Perm() != 0o440 {
		t.Errorf("sudoers: %v, %v", fi.Mode(), err)
	}

	// Now without sudo, then with it again.
	spec.Sudo, spec.NoSudo, spec.Lang = false, "stage_no_idmap_fs", masu.Japanese
	i.account(spec)
	if i.has("/etc/sudoers.d/masu") {
		t.Error("sudo is off, but the rule is there")
	}
	if s := i.read(t, ownSudo); !strings.Contains(s, "NFS") || !strings.Contains(s, "使えません") {
		t.Errorf("the reason: %s", s)
	}
	spec.Sudo = true
	i.account(spec)
	if i.has(ownSudo) || !i.has("/etc/sudoers.d/masu") {
		t.Error("sudo is on again, but not in its place")
	}
}

func TestAccountOfRoot(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"})
	i.account(masu.AgentSpec{User: masu.User{Name: "root", Home: "/root"}, Work: "/root/work"})
	if got := i.read(t, "/etc/passwd"); got != "root:x:0:0:root:/root:/bin/bash\n" || i.has(ownSudo) {
		t.Errorf("passwd %q", got)
	}
}

func TestSudoOfTheImageStays(t *testing.T) {
	i := newImage(t, map[string]string{ownSudo: "#!/bin/sh\n# the image's own\n"})
	i.account(masu.AgentSpec{User: alice, Work: "/home/alice/work"})
	if s := i.read(t, ownSudo); !strings.Contains(s, "the image's own") {
		t.Errorf("%q", s)
	}
}

// TestEditInPlace: a file that cannot be replaced, as one that is mounted by
// itself, is written over.
func TestEditInPlace(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/group": "root:x:0:\n"})
	if err := os.MkdirAll(i.at("/etc/group.masu/x"), 0o755); err != nil { // in the way of the new file
		t.Fatal(err)
	}
	i.account(masu.AgentSpec{User: alice, Work: "/home/alice/work"})
	if s := i.read(t, "/etc/group"); !strings.Contains(s, "alice:x:30001:") {
		t.Errorf("%q", s)
	}
}
