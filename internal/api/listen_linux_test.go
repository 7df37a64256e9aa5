package api

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/masu-lab/masu"
)

// shortFolder is where a socket's path stays short enough.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestListen(t *testing.T) {
	path := filepath.Join(shortFolder(t), "run", "masu.sock")
	for _, mode := range []os.FileMode{0o666, 0o600} {
		l, err := Listen(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("it has the mode %v, %v, want %v", info.Mode(), err, mode)
		}
		if _, err := Listen(path, mode); masu.KindOf(err) != masu.Conflict || masu.CodeOf(err) != "daemon_running" {
			t.Errorf("a second one: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("after Close it is still there: %v", err)
		}
	}
}

func TestListenAfterACrash(t *testing.T) {
	path := filepath.Join(shortFolder(t), "masu.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(path, 0o600)
	if err != nil {
		t.Fatalf("the socket of a dead daemon: %v", err)
	}
	_ = again.Close()
}

func TestListenLeavesOthersAlone(t *testing.T) {
	dir := shortFolder(t)
	path := filepath.Join(dir, "masu.sock")
	for name, put := range map[string]func() error{
		"file":   func() error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"folder": func() error { return os.Mkdir(path, 0o700) },
		"link":   func() error { return os.Symlink(filepath.Join(dir, "elsewhere"), path) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path, 0o600); masu.KindOf(err) != masu.Conflict || masu.CodeOf(err) != "socket_taken" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the %s is gone: %v", name, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 200)), 0o600); masu.CodeOf(err) != "socket_path_long" {
		t.Errorf("a long path: %v", err)
	}
}

// TestListenOnlyWhereItIsSafe: not where others could put their socket in the place of ours (U4).
func TestListenOnlyWhereItIsSafe(t *testing.T) {
	dir := shortFolder(t)
	path := filepath.Join(dir, "masu.sock")
	for _, mode := range []os.FileMode{0o777, 0o775} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path, 0o600); masu.KindOf(err) != masu.Denied || masu.CodeOf(err) != "socket_folder" {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := dir + "-link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	if _, err := Listen(filepath.Join(link, "masu.sock"), 0o600); masu.CodeOf(err) != "socket_folder" {
		t.Errorf("through a link: %v", err)
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(dir, 30998, 30998); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0o600); masu.CodeOf(err) != "socket_folder" {
		t.Errorf("in bob's folder: %v", err)
	}
}

// TestListenTogether: of many that start at once, after a crash too, one serves.
func TestListenTogether(t *testing.T) {
	path := filepath.Join(shortFolder(t), "masu.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			l, err := Listen(path, 0o600)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { _ = l.Close() })
			case masu.CodeOf(err) != "daemon_running":
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d serve", won.Load())
	}
}

func TestNoDaemon(t *testing.T) {
	dir := shortFolder(t)
	path := filepath.Join(dir, "masu.sock")
	_, err := Dial(t.Context(), path, ClientOptions{})
	if masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != "no_daemon" || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := Dial(t.Context(), path, ClientOptions{}); masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != "no_daemon" {
		t.Errorf("nobody listens: %v", err)
	}
}
