package host

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

const engineImage = "masu-test/base"

// docker gives the command line of the engine that MASU_TEST_ENGINE names.
func docker(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	engine := os.Getenv("MASU_TEST_ENGINE")
	if engine == "" {
		t.Skip("MASU_TEST_ENGINE is not set: no engine to run boxes on")
	}
	return func(args ...string) *exec.Cmd {
		if engine != "default" {
			args = append([]string{"--host", engine}, args...)
		}
		return exec.Command("docker", args...)
	}
}

// boxProgram builds what runs inside.
func boxProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "box")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/box")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func TestMain(m *testing.M) {
	if path := os.Getenv("MASU_TEST_PEER"); path != "" {
		bePeer(path)
		return
	}
	os.Exit(m.Run())
}

// background runs a container until the test ends, and waits until it says "listening".
func background(t *testing.T, args ...string) (pid int, id string) {
	t.Helper()
	run := docker(t)
	name := "host-test-" + strings.ToLower(t.Name()[4:]) + "-" + strconv.Itoa(os.Getpid())
	cmd := run(append([]string{"run", "--rm", "--init=false", "--name", name, "--entrypoint", "/box", "-v", boxProgram(t) + ":/box:ro"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run("kill", name).Run()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "listening\n" {
		t.Fatalf("the box said %q, %v", line, err)
	}
	out, err := run("inspect", "-f", "{{.State.Pid}} {{.Id}}", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(out))
	pid, err = strconv.Atoi(f[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid, f[1]
}

// TestBoxCannotHarmTheHost is security.md's table of attacks (C1 to C4, C6): what
// root in a box does in a member's folder.
func TestBoxCannotHarmTheHost(t *testing.T) {
	run := docker(t)
	h := rooted(t)
	u := member(t, h, "masutl", 30120)
	dir := folderOf(t, u, "work")
	write(t, dir+"/hers", "text", 0o600, u)
	at := stage(t, h, u, dir, false)
	args := []string{"run", "--rm", "--network", "none", "--entrypoint", "/box", "-v", boxProgram(t) + ":/box:ro",
		"--mount", "type=bind,src=" + at + ",dst=/work"}
	for _, c := range []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SYS_CHROOT"} { // as the Docker driver does
		args = append(args, "--cap-drop", c)
	}
	cmd := run(append(args, engineImage, "attack", "/work", strconv.Itoa(u.UID))...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"create as root", "mkdir as root", "mknod as root", "mknod as the member", "link to the host",
		"give to root", "give to another", "give to group shadow", "file capability"} {
		if s, tried := said[name]; s == "" || !tried {
			t.Errorf("%s: allowed (tried %v)", name, tried)
		}
	}
	for _, name := range []string{"write as the member", "read as the member", "setuid as the member"} {
		if s, tried := said[name]; s != "" || !tried {
			t.Errorf("%s: %q (tried %v)", name, s, tried)
		}
	}
	if !strings.Contains(said["create as root"], "value too large") {
		t.Errorf("creating as root: %q; the box's README explains EOVERFLOW", said["create as root"])
	}
	checkHarmless(t, dir, u)
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// checkHarmless looks at the folder as the host has it.
func checkHarmless(t *testing.T, dir string, u masu.User) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		if uid, gid := owner(t, path); uid != u.UID || gid != u.GID {
			t.Errorf("%s is %d:%d's", path, uid, gid)
		}
		if d.Type()&fs.ModeDevice != 0 {
			t.Errorf("%s is a device", path)
		}
		if n, err := unix.Lgetxattr(path, "security.capability", nil); err == nil {
			t.Errorf("%s has capabilities (%d bytes)", path, n)
		}
		return nil
	})
	if err != nil || seen < 3 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestDial(t *testing.T) {
	h := rooted(t)
	pid, id := background(t, "--network", "none", engineImage, "serve", "8888")
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := h.Dial(t.Context(), pid, id, 8888)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := conn.(*net.TCPConn); !ok {
		t.Errorf("the connection is a %T", conn)
	}
	echo(t, conn, "hello")
	_, err = h.Dial(t.Context(), pid, id, 8889)
	if err == nil || masu.CodeOf(err) != "internal" {
		t.Errorf("nothing listens: %v", err) // the driver makes "port_silent" of it
	}
	for _, verify := range []string{"", "short", strings.Repeat("0", 64)} {
		if conn, err := h.Dial(t.Context(), pid, verify, 8888); err == nil {
			conn.Close()
			t.Errorf("a process that is not of %q was entered", verify)
		}
	}
	for _, pid := range []int{os.Getpid(), 1, 0, -1, 1 << 30} {
		if conn, err := h.Dial(t.Context(), pid, id, 8888); err == nil {
			conn.Close()
			t.Errorf("process %d was entered", pid)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Dial(ended, pid, id, 8888); err == nil {
		t.Error("dialled although nobody waits")
	}
	// Many at once: all get through, and no thread stays in the box's network.
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			conn, err := h.Dial(t.Context(), pid, id, 8888)
			if err != nil {
				t.Errorf("one of many: %v", err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, th := range threads {
		if ns, err := os.Readlink(th); err == nil && ns != own {
			t.Errorf("a thread stayed in %s", ns)
		}
	}
}

// TestDial6: a program that listens on ::1 only, as many do for "localhost".
func TestDial6(t *testing.T) {
	h := rooted(t)
	pid, id := background(t, "--network", "none", "--sysctl", "net.ipv6.conf.lo.disable_ipv6=0", engineImage, "serve6", "5173")
	conn, err := h.Dial(t.Context(), pid, id, 5173)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn, "hello")
}

func echo(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); string(b) != text || err != nil {
		t.Errorf("echo %q, %v", b, err)
	}
}

// TestPeerInABox is row U2: a process in a container that got hold of masu's socket.
func TestPeerInABox(t *testing.T) {
	run := docker(t)
	h := newHost(t, Config{})
	dir := t.TempDir()
	program := boxProgram(t)
	for _, user := range []string{"0", "30120"} {
		path := filepath.Join(dir, "s"+user)
		var cmd *exec.Cmd
		conn, err := unixPair(t, path, func() error {
			cmd = run("run", "--rm", "--network", "none", "--user", user, "--entrypoint", "/box", "-v", program+":/box:ro", "-v", dir+":/s", engineImage, "connect", "/s/s"+user)
			cmd.Stderr = t.Output()
			return cmd.Start()
		})
		if err != nil {
			t.Fatal(err)
		}
		uid, err := h.Peer(conn)
		wantCode(t, err, masu.Denied, "peer_in_box")
		if uid != -1 {
			t.Errorf("user %d", uid)
		}
		conn.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
