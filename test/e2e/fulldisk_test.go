package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullDisks is row F9: a member's home without a byte left is that member's
// trouble alone, who can start, look and clear up; and where the daemon's own disk
// is full, cells go on and what ends work can be done.
func TestFullDisks(t *testing.T) {
	l := unstartedLab(t)
	state := filepath.Join(l.dir, "state")
	if err := errors.Join(os.Mkdir(state, 0o700), exec.Command("mount", "-t", "tmpfs", "-o", "size=160m,mode=700", "masu-e2e", state).Run()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", state).Run() })
	l.config = filepath.Join(l.dir, "config.yaml")
	// More than the store keeps back for itself, which it gives up when the disk is full.
	if err := os.WriteFile(l.config, []byte("policy: {spare_state: 32MiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	for _, who := range []string{"e2ealice", "e2ebob"} {
		l.must(who, "up", "--no-check", l.folder(l.member(who), "work", nil))
	}
	bobs := func(after string) {
		t.Helper()
		l.must("e2ebob", "check", "work") // a cell
		if out := l.must("e2ebob", "exec", "work", "--", "sh", "-c", "echo $((6*7)) | tee ~/answer"); strings.TrimSpace(out) != "42" {
			t.Errorf("%s: bob's box says %q", after, out)
		}
	}
	inside := func(script string) result { return l.as("e2ealice", "exec", "work", "--", "sh", "-c", script) }

	// Her home becomes a disk of its own, with 24 MiB.
	l.must("e2ealice", "stop", "work")
	l.smallHome(l.only("e2ealice").ID, 24<<20)
	l.must("e2ealice", "up", "--no-check", "work")
	if r := inside("head -c 100M /dev/zero >~/full; cat /dev/zero >~/rest"); r.code == 0 || !strings.Contains(r.errOut, "No space left") {
		t.Fatalf("her home has no end: %+v", r)
	}
	bobs("her home is full")
	l.must("e2ealice", "stop", "work")
	l.must("e2ealice", "up", "--no-check", "work")
	if r := inside("rm ~/full ~/rest && echo x >~/again"); r.code != 0 {
		t.Errorf("she cannot clear up: %+v", r)
	}
	l.must("e2ealice", "check", "work")

	// The disk of the records has no byte left.
	filler := filepath.Join(state, "filler")
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=64k").CombinedOutput(); err == nil || !strings.Contains(string(out), "No space left") {
		t.Fatalf("dd: %v\n%s", err, out)
	}
	bobs("masu's own disk is full")
	l.must("e2ealice", "stop", "work")
	if r := l.as("e2ealice", "up", "--no-check", "work"); r.code == 0 || !strings.Contains(r.errOut, state) {
		t.Errorf("something new began: %+v", r)
	}
	bobs("she was refused")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.must("e2ealice", "up", "--no-check", "work")
}

// smallHome puts a new disk in place of the home of a workspace that is stopped.
func (l *lab) smallHome(id string, size int64) {
	l.t.Helper()
	image := filepath.Join(l.dir, "home")
	device, err := "", errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size))
	if err == nil {
		var out []byte
		out, err = exec.Command("sh", "-c", `mkfs.ext4 -q -m 0 "$0" && losetup --find --show "$0"`, image).Output()
		device = strings.TrimSpace(string(out))
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() }) // once it is mounted nowhere
	volume := "masu-home-" + id
	labels := strings.Fields(docker(l.t, "volume", "inspect", "-f", "{{range $k, $v := .Labels}}--label {{$k}}={{$v}} {{end}}", volume))
	docker(l.t, "rm", "masu-"+id)
	docker(l.t, "volume", "rm", volume)
	docker(l.t, append(append([]string{"volume", "create", "--opt", "type=ext4", "--opt", "device=" + device}, labels...), volume)...)
}
