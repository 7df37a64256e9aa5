package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// boxPID is the host's process ID of a workspace's box.
func boxPID(t *testing.T, id string) string {
	t.Helper()
	return docker(t, "inspect", "-f", "{{.State.Pid}}", "masu-"+id)
}

func (l *lab) only(who string) workspace {
	l.t.Helper()
	all := l.workspaces(who)
	if len(all) != 1 {
		l.t.Fatalf("%s has %d workspaces, want 1", who, len(all))
	}
	return all[0]
}

// TestRunningNotebooksNeverNotice kills the daemon under a running box: the
// box is the same process afterwards and still answers.
func TestRunningNotebooksNeverNotice(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", nil)
	l.must("e2ealice", "up", dir)
	w := l.only("e2ealice")
	before := boxPID(t, w.ID)
	l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "nohup sleep 1000 >/dev/null 2>&1 & echo $! > ~/still-here")

	l.kill()
	l.start()
	if after := boxPID(t, w.ID); after != before {
		t.Errorf("the box was process %s and is now %s", before, after)
	}
	if w := l.only("e2ealice"); w.Phase != "running" {
		t.Errorf("after the daemon's death the workspace is %s", w.Phase)
	}
	l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "kill -0 $(cat ~/still-here)")
	l.must("e2ealice", "check", "thesis")
}

// TestKilledAtAnyInstant is row F1: whatever the daemon was doing, afterwards
// boxes and workspaces are one to one, nothing stays staged, and trying again works.
func TestKilledAtAnyInstant(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", nil)
	l.must("e2ealice", "up", dir) // the image exists from here on
	for round := range 6 {
		l.must("e2ealice", "stop", "thesis")
		up := l.command("e2ealice", dir, "up", "--no-check", "--quiet")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(rand.IntN(1500)) * time.Millisecond
		time.Sleep(wait) // the instant is the test's subject
		l.kill()
		_ = up.Wait()
		l.start()
		l.until(30*time.Second, "the workspace has settled", func() bool {
			p := l.only("e2ealice").Phase
			return p == "running" || p == "failed" || p == "stopped"
		})
		l.oneToOne()
		if r := l.as("e2ealice", "up", "--no-check", "--quiet", dir); r.err != nil {
			t.Fatalf("round %d, killed after %v: trying again: %v\n%s", round, wait, r.err, r.errOut)
		}
	}
}

// oneToOne holds the engine's boxes of this lab against the workspaces, and the staged folders against both.
func (l *lab) oneToOne() {
	l.t.Helper()
	running := map[string]bool{}
	known := map[string]bool{}
	for _, w := range l.workspaces("root", "--all") {
		known["masu-"+w.ID] = true
		running["masu-"+w.ID] = w.Phase == "running"
	}
	lab := ""
	for line := range strings.Lines(docker(l.t, "ps", "-a", "--filter", "label=masu.lab", "--format", `{{.Names}} {{.State}} {{.Label "masu.lab"}}`)) {
		f := strings.Fields(line)
		if !known[f[0]] {
			continue // another lab's
		}
		lab = f[2]
		if (f[1] == "running") != running[f[0]] {
			l.t.Errorf("box %s is %s, its workspace running: %v", f[0], f[1], running[f[0]])
		}
	}
	if lab == "" {
		return
	}
	for line := range strings.Lines(docker(l.t, "ps", "-a", "--filter", "label=masu.lab="+lab, "--format", "{{.Names}}")) {
		if name := strings.TrimSpace(line); name != "" && !known[name] {
			l.t.Errorf("box %s belongs to no workspace", name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, filepath.Join(l.dir, "run", "stage")) {
			id := strings.Split(strings.TrimPrefix(at, filepath.Join(l.dir, "run", "stage")+"/"), "/")[0]
			if !running["masu-"+id] {
				l.t.Errorf("%s is still staged", at)
			}
		}
	}
}

// TestBoxRemovedByHand: the workspace says so and starts again.
func TestBoxRemovedByHand(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", nil)
	l.must("e2ealice", "up", "--no-check", dir)
	docker(t, "rm", "-f", "masu-"+l.only("e2ealice").ID)
	l.until(20*time.Second, "the workspace knows that its box is gone", func() bool { return l.phase("e2ealice", "thesis") == "stopped" })
	// The engine ends a box before it removes it; masu may look in between.
	if w := l.only("e2ealice"); w.Trouble == nil || w.Trouble.Code != "box_gone" && w.Trouble.Code != "box_ended" {
		t.Errorf("the workspace does not say why it stopped: %+v", w.Trouble)
	}
	l.must("e2ealice", "up", dir)
}

// TestBrokenStore is row F10: a broken database is refused by name, and what runs is not lost.
func TestBrokenStore(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.must("e2ealice", "up", "--no-check", l.folder(alice, "thesis", nil))
	l.kill()
	db := filepath.Join(l.dir, "state", "masu.db")
	good, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"zeroed":    append(make([]byte, 100), good[100:]...),
		"truncated": good[:len(good)/2],
		"empty":     {},
		"text":      []byte("not a database\n"),
	} {
		_ = os.Remove(db + "-wal")
		_ = os.Remove(db + "-shm")
		if err := os.WriteFile(db, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(l.bin, "serve", "--state", filepath.Join(l.dir, "state"), "--socket", l.socket, "--listen", "127.0.0.1:0").CombinedOutput()
		if err == nil || !strings.Contains(string(out), db) {
			t.Errorf("%s: serve said %q (%v), want a refusal that names %s", name, out, err, db)
		}
	}
	if err := os.WriteFile(db, good, 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
}
