package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLaptopFiles: with nothing but an ssh path, files go between a laptop and a
// box, a folder is kept alike, and a port of the box is at the laptop.
func TestLaptopFiles(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	p := newPC(t, l, alice)
	p.must("context", "add", "gpu", "ssh://gpu")
	kept := files(t, p, alice)
	forwards(t, p)
	l.must("e2ealice", "stop", "thesis")
	if code := kept.end(); code != 1 || kept.has(`thesis was stopped`) == "" {
		t.Errorf("masu sync, when its workspace is stopped, ends with %d", code)
	}
	if r := p.masu("cp", "thesis:data.csv", "again.csv"); r.err != nil || !strings.Contains(r.errOut, "is being started") || p.has("again.csv") != "1,2,3\n" {
		t.Errorf("from a stopped workspace: %d, %s", r.code, r.errOut)
	}
}

// own makes a file of the laptop's owner.
func (p *pc) own(name, text string) {
	p.t.Helper()
	at := filepath.Join(p.user.HomeDir, name)
	uid, _ := strconv.Atoi(p.user.Uid)
	gid, _ := strconv.Atoi(p.user.Gid)
	for dir := filepath.Dir(at); dir != p.user.HomeDir; dir = filepath.Dir(dir) {
		if os.MkdirAll(dir, 0o755) != nil || os.Chown(dir, uid, gid) != nil {
			p.t.Fatalf("%s cannot be made", dir)
		}
	}
	p.file(at, text)
	if err := os.Chown(at, uid, gid); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pc) has(name string) string {
	b, _ := os.ReadFile(filepath.Join(p.user.HomeDir, name))
	return string(b)
}

// files go there and back by masu cp, by sftp as editors do it, and by masu sync.
func files(t *testing.T, p *pc, alice *user.User) *held {
	t.Helper()
	there := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(alice.HomeDir, "thesis", name))
		return string(b)
	}
	p.own("data.csv", "1,2,3\n")
	p.must("cp", "data.csv", "thesis:")
	if got := there("data.csv"); got != "1,2,3\n" {
		t.Errorf("masu cp: %q is there", got)
	}
	if owner := strings.TrimSpace(output(t, "stat", "-c", "%U", filepath.Join(alice.HomeDir, "thesis", "data.csv"))); owner != alice.Username {
		t.Errorf("the file is %s's", owner)
	}
	p.own("proj/a/b.txt", strings.Repeat("line\n", 100_000))
	p.own("proj/run.sh", "#!/bin/sh\n")
	p.must("cp", "-r", "proj", "thesis:proj")
	p.must("cp", "thesis:proj", "back")
	if out, err := p.command("diff", "-r", "proj", "back").CombinedOutput(); err != nil {
		t.Errorf("there and back: %v: %s", err, out)
	}
	if r := p.masu("cp", "data.csv", "thesis:/etc/by-masu"); r.code == 0 || !strings.Contains(r.errOut, "may not be read or written") {
		t.Errorf("where the member may not write: %d, %s", r.code, r.errOut)
	}
	if r := p.masu("cp", "thesis:nothing", "."); r.code == 0 || !strings.Contains(r.errOut, "thesis:nothing is not there") {
		t.Errorf("what is not there: %d, %s", r.code, r.errOut)
	}

	p.must("ssh-config", "--write") // and any editor's sftp reaches the box
	sftp := p.command("sftp", "-b", "-", "thesis.masu")
	sftp.Stdin = strings.NewReader("put data.csv work/by-editor.csv\n")
	if out, err := sftp.CombinedOutput(); err != nil || there("by-editor.csv") != "1,2,3\n" {
		t.Errorf("an editor's sftp: %v: %s", err, out)
	}
	kept := p.alike(alice)
	p.fullDisk(alice)
	return kept
}

// alike is masu sync: both ways while it runs; with --once, what both have changed is kept twice.
func (p *pc) alike(alice *user.User) *held {
	p.t.Helper()
	src := p.l.folder(alice, "thesis/src", map[string]string{"model.py": "print(1)\n"})
	far := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(src, name))
		return string(b)
	}
	h := p.hold("sync", "code", "thesis:src")
	p.l.until(20*time.Second, "both are alike", func() bool { return h.has(`are alike`) != "" && p.has("code/model.py") == "print(1)\n" })
	p.own("code/train.py", "print(2)\n")
	p.l.until(20*time.Second, "what is new here is there", func() bool { return far("train.py") == "print(2)\n" })
	p.l.folder(alice, "thesis/src", map[string]string{"model.py": "print(10)\n"})
	p.l.until(20*time.Second, "what has changed there is here", func() bool { return p.has("code/model.py") == "print(10)\n" })
	p.root("rm", filepath.Join(p.user.HomeDir, "code/train.py"))
	p.l.until(20*time.Second, "what was removed here is removed there", func() bool { return far("train.py") == "" })
	if r := p.masu("sync", "--once", "code", "thesis:src"); r.code == 0 || !strings.Contains(r.errOut, "Another masu sync") {
		p.t.Errorf("a second one at once: %d, %s", r.code, r.errOut)
	}

	notes := p.l.folder(alice, "thesis/notes", map[string]string{"n.md": "first\n"})
	p.must("sync", "--once", "notes", "thesis:notes")
	p.own("notes/n.md", "from the laptop\n")
	p.l.folder(alice, "thesis/notes", map[string]string{"n.md": "from the box\n"})
	if r := p.masu("sync", "--once", "notes", "thesis:notes"); r.err != nil || !strings.Contains(r.errOut, "has changed on both sides: both are kept") {
		p.t.Errorf("a conflict: %d, %s%s", r.code, r.out, r.errOut)
	}
	for _, dir := range []string{notes, filepath.Join(p.user.HomeDir, "notes")} {
		all, err := filepath.Glob(filepath.Join(dir, "n.conflict-*.md"))
		if err != nil || len(all) != 1 {
			p.t.Errorf("%s has %v", dir, all)
			continue
		}
		mine, _ := os.ReadFile(all[0])
		theirs, _ := os.ReadFile(filepath.Join(dir, "n.md"))
		if string(mine) != "from the laptop\n" || string(theirs) != "from the box\n" {
			p.t.Errorf("%s: %q and %q", dir, mine, theirs)
		}
	}
	return h
}

// fullDisk: a laptop whose disk is full keeps what it has; with room the rest comes.
func (p *pc) fullDisk(alice *user.User) {
	p.t.Helper()
	small := filepath.Join(p.user.HomeDir, "small")
	p.root("install", "-d", "-o", p.user.Uid, "-g", p.user.Gid, small)
	p.root("mount", "-t", "tmpfs", "-o", "size=1m,uid="+p.user.Uid+",gid="+p.user.Gid, "tmpfs", small)
	p.t.Cleanup(func() { _ = exec.Command("umount", small).Run() })
	p.l.folder(alice, "thesis/big", map[string]string{"weights": "old\n"})
	p.must("sync", "--once", "small", "thesis:big")
	p.l.folder(alice, "thesis/big", map[string]string{"weights": strings.Repeat("w", 3<<20)})
	r := p.masu("sync", "--once", "small", "thesis:big")
	left, err := os.ReadDir(small)
	if r.code != 1 || !strings.Contains(r.errOut, "no space left") || p.has("small/weights") != "old\n" || err != nil || len(left) != 1 {
		p.t.Errorf("a full disk: %d, %s; it has %v, %v", r.code, r.errOut, left, err)
	}
	p.root("mount", "-o", "remount,size=16m", small)
	p.must("sync", "--once", "small", "thesis:big")
	if len(p.has("small/weights")) != 3<<20 {
		p.t.Error("with room again it does not come")
	}
}

// forwards: a server that somebody starts in the box is at the laptop's own port.
func forwards(t *testing.T, p *pc) {
	t.Helper()
	p.l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "cd ~/work && nohup python3 -m http.server --bind 127.0.0.1 8765 >/dev/null 2>&1 & exit 0")
	p.l.until(20*time.Second, "something listens in the box", func() bool {
		return p.l.as("e2ealice", "exec", "thesis", "--", "python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 8765))").err == nil
	})
	h := p.hold("forward", "8765")
	p.l.until(20*time.Second, "the port is here", func() bool { return h.has(`until you press Ctrl-C`) != "" })
	port := strings.TrimPrefix(h.has(`http://localhost:\d+`), "http://localhost:")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return fromLaptop(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}}
	answer, err := client.Get("http://localhost:" + port + "/data.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "1,2,3\n" {
		t.Errorf("through the port: %q, %v", b, err)
	}
	if r := p.masu("forward", "8766"); r.code == 0 || r.errOut == "" {
		t.Errorf("a port where nothing listens: %d, %s", r.code, r.errOut)
	}
}
