package host

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// bePeer is what a re-executed test binary does: connect, perhaps as another
// user, and stay until the other side goes.
func bePeer(path string) {
	if uid, err := strconv.Atoi(os.Getenv("MASU_TEST_PEER_UID")); err == nil {
		if err := unix.Setresuid(uid, uid, uid); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	io.Copy(io.Discard, c)
}

// peer connects by a process that is started so.
func peer(t *testing.T, h *Host, uid int, wrap ...string) (int, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(homes(t), "socket")
	argv := append(wrap, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = t.Output()
	cmd.Env = append(os.Environ(), "MASU_TEST_PEER="+path)
	if uid >= 0 {
		cmd.Env = append(cmd.Env, "MASU_TEST_PEER_UID="+strconv.Itoa(uid))
	}
	conn, err := unixPair(t, path, cmd.Start)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Peer(conn)
	conn.Close()
	if e := cmd.Wait(); e != nil {
		t.Errorf("%v: %v", argv, e)
	}
	return got, err
}

func TestPeer(t *testing.T) {
	h := newHost(t, Config{})
	if uid, err := peer(t, h, -1); uid != os.Geteuid() || err != nil {
		t.Errorf("own process: %d, %v", uid, err)
	}
	needRoot(t)
	if uid, err := peer(t, h, 30130); uid != 30130 || err != nil {
		t.Errorf("a member: %d, %v", uid, err)
	}
	// Root of a user namespace of their own is still who they are.
	if uid, err := peer(t, h, -1, "setpriv", "--reuid=0", "unshare", "--user", "--map-root-user"); uid != 0 || err != nil {
		t.Errorf("in a user namespace: %d, %v", uid, err)
	}
}

// TestPeerElsewhere is row U2 without an engine.
func TestPeerElsewhere(t *testing.T) {
	needRoot(t)
	h := newHost(t, Config{})
	for _, wrap := range [][]string{
		{"unshare", "--mount"},
		{"unshare", "--pid", "--fork"},
		{"unshare", "--pid", "--fork", "--mount-proc"},
		{"unshare", "--user", "--map-root-user", "--mount"},
	} {
		for _, uid := range []int{-1, 30130} {
			if uid >= 0 && wrap[1] == "--user" {
				continue // it has no such user
			}
			_, err := peer(t, h, uid, wrap...)
			wantCode(t, err, masu.Denied, "peer_in_box")
		}
	}
}

// TestPeerHasGone: nobody is believed whose process cannot be looked at any more.
func TestPeerHasGone(t *testing.T) {
	h := newHost(t, Config{})
	path := filepath.Join(t.TempDir(), "socket")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "MASU_TEST_PEER="+path)
	conn, err := unixPair(t, path, cmd.Start)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cmd.Process.Kill()
	cmd.Wait()
	_, err = h.Peer(conn)
	wantCode(t, err, masu.Denied, "peer_in_box")
}

// agentSocket is an agent's side of DialSocket.
func agentSocket(t *testing.T, path string, status int) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "127.0.0.1:8888" || status != http.StatusOK {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nbanner:") // a server that speaks first
		io.Copy(conn, buf)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

func TestDialSocket(t *testing.T) {
	h := newHost(t, Config{})
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.sock")
	agentSocket(t, path, http.StatusOK)
	conn, err := h.DialSocket(t.Context(), path, os.Geteuid(), 8888)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := conn.(*net.UnixConn); !ok {
		t.Errorf("the connection is a %T", conn)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("banner:hello"))
	if _, err := io.ReadFull(conn, b); string(b) != "banner:hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := h.DialSocket(t.Context(), path, os.Geteuid()+1, 8888); masu.CodeOf(err) != "socket_not_yours" {
		t.Errorf("another's socket: %v", err)
	}
	// A member's box could put these there.
	os.Symlink(path, filepath.Join(dir, "link"))
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
	agentSocket(t, filepath.Join(dir, "silent"), http.StatusBadGateway)
	for _, name := range []string{"link", "file", "missing", "silent", "."} {
		if conn, err := h.DialSocket(t.Context(), filepath.Join(dir, name), os.Geteuid(), 8888); err == nil {
			conn.Close()
			t.Errorf("%s was dialled", name)
		}
	}
}
