package host

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func newHost(t *testing.T, cfg Config) *Host {
	t.Helper()
	if cfg.RunDir == "" {
		cfg.RunDir = t.TempDir()
	}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// rooted gives a Host that stages below a folder that is unstaged when the test ends.
func rooted(t *testing.T) *Host {
	t.Helper()
	needRoot(t)
	// Not t.TempDir: what is still mounted there must not be removed with it.
	dir, err := os.MkdirTemp("/run", "masu-host-test-")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Config{Root: true, RunDir: dir})
	t.Cleanup(func() {
		if err := h.Sweep(func(string) bool { return false }); err != nil {
			t.Errorf("staged folders stay in %s: %v", dir, err)
			return
		}
		os.RemoveAll(dir)
	})
	return h
}

// member makes a login of the host, with a home of its own, for one test.
func member(t *testing.T, h *Host, name string, uid int, groups ...string) masu.User {
	t.Helper()
	needRoot(t)
	home := filepath.Join(homes(t), name)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"--no-create-home", "--no-log-init", "--home-dir", home, "--uid", strconv.Itoa(uid), "--user-group", "--shell", "/bin/sh"}
	if len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	command(t, "useradd", append(args, name)...)
	t.Cleanup(func() { command(t, "userdel", name) })
	u, err := h.ByName(masu.Username(name))
	if err != nil {
		t.Fatal(err)
	}
	own(t, home, u)
	return u
}

// homes is a folder that every member can get through, which t.TempDir is not.
func homes(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "masu-host-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func own(t *testing.T, path string, u masu.User) {
	t.Helper()
	if err := os.Lchown(path, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
}

// folderOf makes a folder in the member's home.
func folderOf(t *testing.T, u masu.User, name string) string {
	t.Helper()
	dir := filepath.Join(u.Home, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	own(t, dir, u)
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode, u masu.User) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	own(t, path, u)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	// The groups file is locked by whoever else makes accounts meanwhile.
	for tries := 0; ; tries++ {
		out, err := cmd.CombinedOutput()
		if err == nil {
			return string(out)
		}
		if strings.Contains(string(out), "cannot lock") && tries < 100 {
			cmd = exec.Command(name, args...)
			continue
		}
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func wantCode(t *testing.T, err error, kind masu.Kind, code string) {
	t.Helper()
	if masu.CodeOf(err) != code || masu.KindOf(err) != kind {
		t.Errorf("error %v, want %s %q", err, kind, code)
	}
}

// unixPair connects two processes' worth of sockets at a path.
func unixPair(t *testing.T, path string, dial func() error) (*net.UnixConn, error) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err != nil {
		return nil, err
	}
	c, err := l.AcceptUnix()
	return c, errors.Join(err)
}

func TestNew(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, cfg := range []Config{{}, {RunDir: "/run/masu"}, {Log: log}, {RunDir: "run", Log: log}, {RunDir: "/run/../run", Log: log}} {
		if h, err := New(cfg); err == nil {
			t.Errorf("New(%+v) = %v", cfg, h)
		}
	}
	h := newHost(t, Config{})
	if !h.Rootless() {
		t.Error("a Host without Root is not rootless")
	}
	if _, err := h.Stage(masu.User{}, "/", h.stageDir()+"/a", false); err == nil {
		t.Error("a folder was staged without root")
	}
	if _, err := h.Dial(t.Context(), 1, strings.Repeat("a", 64), 80); err == nil {
		t.Error("a namespace was entered without root")
	}
}
