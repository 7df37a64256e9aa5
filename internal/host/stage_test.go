package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

func stage(t *testing.T, h *Host, u masu.User, dir string, dataset bool) string {
	t.Helper()
	at := filepath.Join(h.stageDir(), "box", "0")
	reason, err := h.Stage(u, dir, at, dataset)
	if err != nil {
		t.Fatal(err)
	}
	if reason != "" {
		t.Fatalf("the file system of %s cannot map ids: %s; the tests need one that can", dir, reason)
	}
	return at
}

func owner(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid), int(st.Gid)
}

// writeAs writes as the member in a staged folder, as a box has it: without the way to it.
func writeAs(t *testing.T, h *Host, u masu.User, at, name string) error {
	t.Helper()
	dir, err := unix.Open(at, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	return h.as(u, func() error {
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
}

func TestStage(t *testing.T) {
	h := rooted(t)
	u := member(t, h, "masute", 30105)
	dir := folderOf(t, u, "work")
	write(t, filepath.Join(dir, "file"), "text", 0o644, u)
	at := stage(t, h, u, dir, false)
	if b, err := os.ReadFile(at + "/file"); string(b) != "text" || err != nil {
		t.Errorf("staged file: %q, %v", b, err)
	}
	if err := os.WriteFile(at+"/root", nil, 0o644); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("root wrote there: %v", err)
	}
	if err := os.Chown(at+"/file", 0, 0); err == nil {
		t.Error("a file was given to root")
	}
	if err := os.Chown(at+"/file", 30106, 30106); err == nil {
		t.Error("a file was given to another member")
	}
	if err := writeAs(t, h, u, at, "mine"); err != nil {
		t.Errorf("the member cannot write: %v", err)
	}
	if uid, gid := owner(t, dir+"/mine"); uid != u.UID || gid != u.GID {
		t.Errorf("on the host it is %d:%d's", uid, gid)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
		t.Errorf("flags %x, %v", st.Flags, err)
	}
	for _, p := range []string{h.stageDir(), filepath.Dir(at)} {
		if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", p, fi.Mode(), err)
		}
	}
	// Again, and from elsewhere: the new one replaces it, and there is one mount.
	other := folderOf(t, u, "other")
	write(t, other+"/second", "", 0o644, u)
	stage(t, h, u, other, false)
	if _, err := os.Stat(at + "/second"); err != nil {
		t.Errorf("the second folder is not there: %v", err)
	}
	if m, _ := mountsBelow(h.stageDir()); len(m) != 1 {
		t.Errorf("mounts %v", m)
	}
	for range 2 {
		if err := h.Unstage(at); err != nil {
			t.Errorf("Unstage: %v", err)
		}
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", at, err)
		}
	}
	if _, err := os.Stat(other + "/second"); err != nil {
		t.Errorf("the member's folder has lost its file: %v", err)
	}
}

func TestStageDataset(t *testing.T) {
	h := rooted(t)
	u := member(t, h, "masutf", 30107)
	dir := filepath.Join(homes(t), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/public", "for all", 0o644, masu.User{})
	write(t, dir+"/private", "for root", 0o600, masu.User{})
	at := stage(t, h, u, dir, true)
	if b, err := os.ReadFile(at + "/public"); string(b) != "for all" || err != nil {
		t.Errorf("public: %q, %v", b, err)
	}
	if b, err := os.ReadFile(at + "/private"); err == nil {
		t.Errorf("root in a box would read what the member may not: %q", b)
	}
	if err := writeAs(t, h, u, at, "new"); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to a dataset: %v", err)
	}
}

// TestStageWithoutIDMap: what cannot be mapped is staged plainly, with the reason.
func TestStageWithoutIDMap(t *testing.T) {
	h := rooted(t)
	reason, err := h.Stage(masu.User{Name: "root"}, "/dev/pts", h.stageDir()+"/pts/0", false)
	if reason != "stage_no_idmap_fs" || err != nil {
		t.Fatalf("Stage of a file system that cannot map ids: %q, %v", reason, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(h.stageDir()+"/pts/0", &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
		t.Errorf("flags %x, %v", st.Flags, err)
	}
}

// TestRestrictByPath: what older kernels are left with.
func TestRestrictByPath(t *testing.T) {
	h := rooted(t)
	at := filepath.Join(h.stageDir(), "old", "0")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", at, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	for _, dataset := range []bool{false, true} {
		if err := restrictByPath(at, dataset); err != nil {
			t.Fatal(err)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(at, &st); err != nil {
			t.Fatal(err)
		}
		want := int64(unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC)
		if st.Flags&want != want || st.Flags&unix.ST_RDONLY != 0 != dataset {
			t.Errorf("dataset %v: flags %x", dataset, st.Flags)
		}
	}
}

func TestStageStaysBelow(t *testing.T) {
	h := rooted(t)
	u := member(t, h, "masuth", 30108)
	dir := folderOf(t, u, "work")
	for _, at := range []string{"/etc", h.cfg.RunDir, h.stageDir(), h.stageDir() + "/../x", h.stageDir() + "x/y", ""} {
		if _, err := h.Stage(u, dir, at, false); err == nil {
			t.Errorf("staged at %q", at)
		}
		if err := h.Unstage(at); err == nil {
			t.Errorf("unstaged %q", at)
		}
	}
}

func TestSweep(t *testing.T) {
	h := rooted(t)
	u := member(t, h, "masuti", 30109)
	dir := folderOf(t, u, "work")
	for _, n := range []string{"a/0", "a/1", "b/0"} {
		if _, err := h.Stage(u, dir, filepath.Join(h.stageDir(), n), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Sweep(func(path string) bool { return path == h.stageDir()+"/b/0" }); err != nil {
		t.Fatal(err)
	}
	if m, err := mountsBelow(h.stageDir()); err != nil || len(m) != 1 || m[0] != h.stageDir()+"/b/0" {
		t.Errorf("left: %v, %v", m, err)
	}
}

// TestStageRace is row S3: a folder that is swapped for a link to another's
// home while it is staged is either staged as it was, or refused.
func TestStageRace(t *testing.T) {
	h := rooted(t)
	alice, bob := member(t, h, "masutj", 30110), member(t, h, "masutk", 30111)
	if err := os.Chmod(bob.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	secret := []byte("bob's secret")
	write(t, bob.Home+"/secret", string(secret), 0o644, bob)
	dir, link := folderOf(t, alice, "work"), filepath.Join(alice.Home, "link")
	if err := os.Symlink(bob.Home, link); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("swap: %v", err)
					return
				}
			}
		}
	})
	at, staged, refused := filepath.Join(h.stageDir(), "race", "0"), 0, 0
	deadline := time.Now().Add(20 * time.Second) // a busy machine needs more tries until both have happened
	for n := 0; n < 300 || (staged == 0 || refused == 0) && time.Now().Before(deadline); n++ {
		_, err := h.Stage(alice, dir, at, false)
		if err != nil {
			wantCode(t, err, masu.Invalid, "folder_is_a_link")
			refused++
			continue
		}
		staged++
		if b, err := os.ReadFile(at + "/secret"); err == nil || bytes.Equal(b, secret) {
			t.Errorf("bob's file was staged for alice: %q", b)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("staged %d, refused %d", staged, refused)
	if refused == 0 || staged == 0 {
		t.Error("there was no race")
	}
}
