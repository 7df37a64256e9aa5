package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

const boundsHeld = "the bounds were held"

// TestBoundDisk holds bounds on real ext4 and XFS. Where this machine's kernel
// has no project quotas, one that has runs as a process of its own (user-mode
// Linux, which test/setup.sh installs there).
func TestBoundDisk(t *testing.T) {
	if kind := os.Getenv("MASU_TEST_QUOTAS"); kind != "" {
		beInUML(t, kind)
		return
	}
	needRoot(t)
	if size := unsafe.Sizeof(quota{}); size != 112 {
		t.Fatalf("the kernel's fs_disk_quota has 112 bytes, ours %d", size)
	}
	program := sync.OnceValue(func() string { return boundsProgram(t) })
	for kind, with := range map[string][]string{"ext4": {"-O", "project,quota", "-E", "quotatype=prjquota"}, "xfs": nil} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath("mkfs." + kind); err != nil {
				t.Skip(err)
			}
			image := filepath.Join(t.TempDir(), "disk")
			if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 320<<20)); err != nil { // XFS has at least 300 MiB
				t.Fatal(err)
			}
			command(t, "mkfs."+kind, append(append([]string{"-q"}, with...), image)...)
			dir := t.TempDir()
			if out, err := exec.Command("mount", "-o", "loop,prjquota", image, dir).CombinedOutput(); err != nil {
				t.Logf("this kernel has none: %s", bytes.TrimSpace(out))
				boundsInUML(t, program, kind, image)
				return
			}
			t.Cleanup(func() { command(t, "umount", dir) })
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if h := newHost(t, Config{Root: true}); kind == "xfs" && !h.BoundsDisk(dir) { // it mounts, and warns, where the kernel has no quotas
				boundsInUML(t, program, kind, image)
				return
			}
			testBounds(t, dir)
		})
	}
}

func boundsProgram(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "host.test")
	build := exec.Command("go", "test", "-c", "-o", path, ".") // not -race: there is too little room
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// boundsInUML runs TestBoundDisk of this package on a kernel with project
// quotas, which sees this machine's files, read-only, and one disk.
func boundsInUML(t *testing.T, program func() string, kind, image string) {
	kernel, err := exec.LookPath("linux.uml")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), kernel, "mem=256M", "ubd0="+image, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", "quiet",
		"init="+program(), "PATH=/usr/bin:/bin", "MASU_TEST_QUOTAS="+kind, "--", "-test.run=^TestBoundDisk$", "-test.v")
	c.Dir, c.Env = dir, append(os.Environ(), "HOME="+dir, "TMPDIR=/dev/shm")
	if out, err := c.CombinedOutput(); !bytes.Contains(out, []byte(boundsHeld)) {
		t.Errorf("%v\n%s", err, out)
	}
}

// beInUML is the first process of a machine that has only this to do.
func beInUML(t *testing.T, kind string) {
	defer func() {
		if !t.Failed() {
			fmt.Println(boundsHeld)
		}
		unix.Sync()
		t.Error(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	}()
	modules, err := filepath.Glob("/usr/lib/uml/modules/*/kernel/fs/*/*.ko")
	modules = slices.DeleteFunc(modules, func(m string) bool {
		return !slices.Contains([]string{"quota_tree.ko", "quota_v2.ko", "overlay.ko"}, filepath.Base(m))
	})
	slices.Sort(modules) // quota_tree before quota_v2
	for _, m := range modules {
		f, ferr := os.Open(m)
		if err = errors.Join(err, ferr); ferr == nil {
			err = errors.Join(err, unix.FinitModule(int(f.Fd()), "", 0), f.Close())
		}
	}
	if err := errors.Join(err, unix.Mount("proc", "/proc", "proc", 0, ""), unix.Mount("/dev/ubda", "/mnt", kind, 0, "prjquota"), os.Chmod("/mnt", 0o755)); err != nil {
		t.Fatal(err)
	}
	testBounds(t, "/mnt")
}

// testBounds needs a folder on a file system with project quotas in force.
func testBounds(t *testing.T, disk string) {
	h := &Host{cfg: Config{Root: true}}
	if !h.BoundsDisk(disk) || h.BoundsDisk("/proc") || h.BoundsDisk(filepath.Join(disk, "nothing")) || (&Host{}).BoundsDisk(disk) {
		t.Fatalf("bounds can be held: %v %v", h.BoundsDisk(disk), h.BoundsDisk("/proc"))
	}
	folder := func(name string) string {
		dir := filepath.Join(disk, name)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, 30001, 30001)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	put := func(path string, mib int) error {
		c := exec.Command("dd", "if=/dev/zero", "of="+path, "bs=1M", "count="+string(rune('0'+mib)), "conv=fsync", "status=none")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 30001, Gid: 30001}}
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	full := func(path string, mib int) {
		t.Helper()
		if err := put(path, mib); err == nil || !strings.Contains(err.Error(), "quota exceeded") && !strings.Contains(err.Error(), "No space left") {
			t.Errorf("%d MiB more: %v", mib, err)
		}
		must(os.Remove(path))
	}
	home, layer, others := folder("alice"), folder("alice-layer"), folder("bob")
	folder("alice/deep/in")
	must(put(filepath.Join(home, "deep/in/before"), 2))
	must(put(filepath.Join(disk, "bob/file"), 1))
	must(os.Symlink(others, filepath.Join(home, "link")))
	must(unix.Mkfifo(filepath.Join(home, "fifo"), 0o600))

	const id, colleague = masu.WorkspaceID("abcdefghijkl"), masu.WorkspaceID("mnopqrstuvwx")
	must(h.BoundDisk(t.Context(), id, 4*masu.MiB, home, layer))
	must(h.BoundDisk(t.Context(), id, 6*masu.MiB, home, layer)) // the rule has changed
	must(h.BoundDisk(t.Context(), colleague, 64*masu.MiB, others))
	if used, most := h.DiskBound(id, layer); used < 2*masu.MiB || used > 3*masu.MiB || most != 6*masu.MiB {
		t.Errorf("what was there before: %v of %v", used, most)
	}
	must(put(filepath.Join(layer, "more"), 3))
	full(filepath.Join(home, "deep/in/full"), 3) // what is in both counts
	must(put(filepath.Join(others, "much"), 9))
	if used, most := h.DiskBound(colleague, others); used < 10*masu.MiB || most != 64*masu.MiB {
		t.Errorf("the colleague's: %v of %v", used, most)
	}
	var s unix.Statfs_t
	if must(unix.Statfs(home, &s)); s.Blocks*uint64(s.Bsize) != 6<<20 {
		t.Errorf("df in the home says %d bytes", s.Blocks*uint64(s.Bsize))
	}
	must(os.Remove(filepath.Join(home, "deep/in/before")))
	must(put(filepath.Join(home, "again"), 2)) // clearing up helps

	must(h.BoundDisk(t.Context(), id, 0, home, layer))
	must(put(filepath.Join(home, "unbound"), 9))
	if _, most := h.DiskBound(id, home); most != 0 {
		t.Errorf("lifted, and still %v", most)
	}
	if err := h.BoundDisk(t.Context(), id, masu.MiB, filepath.Join(disk, "nothing")); err == nil {
		t.Error("a folder that is not there was bounded")
	}

	// What an engine makes a container's file system of.
	lower, upper, work, merged := folder("image"), folder("run/diff"), folder("run/work"), folder("run/merged")
	must(put(filepath.Join(lower, "tool"), 1))
	must(h.BoundDisk(t.Context(), "run", 4*masu.MiB, upper, work))
	must(unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work))
	defer func() { must(unix.Unmount(merged, 0)) }()
	must(os.Chmod(filepath.Join(merged, "tool"), 0o755)) // copies it up
	must(os.Remove(filepath.Join(merged, "tool")))
	must(put(filepath.Join(merged, "tool"), 2)) // over what says that it was removed
	full(filepath.Join(merged, "full"), 3)
	if used, _ := h.DiskBound("run", upper); used < 2*masu.MiB || used > 4*masu.MiB { // XFS frees what was removed a little later
		t.Errorf("a container's layer: %v", used)
	}
}
