//go:build unix

package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// answerTime is how long a daemon that is there may take to accept a connection.
const answerTime = 2 * time.Second

// maxSocketPath is what the kernel takes.
const maxSocketPath = 107

// Listen makes the socket at path, with its folder when that is missing, open
// to whom mode says. A socket that a dead daemon has left is replaced; anything
// else that is there stays. It refuses with Conflict "daemon_running" when a
// daemon answers there, Conflict "socket_taken" when the path is no socket, and
// Denied "socket_folder" when others could put something in its place.
func Listen(path string, mode os.FileMode) (*net.UnixListener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if len(path) > maxSocketPath {
		return nil, masu.E(masu.Invalid, "socket_path_long", path, maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, masu.E(masu.Denied, "socket_folder", dir).Because(err)
	}
	folder, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close() // and with it the lock: two daemons that start at once come one after the other
	if err := clear(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// The file is born with the mode of the descriptor: nobody can come in
		// between bind and chmod who may not later.
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	l, err := lc.Listen(context.Background(), "unix", path) // returns at once
	if err != nil {
		return nil, masu.E(masu.Denied, "socket_folder", dir).Because(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, masu.E(masu.Denied, "socket_folder", dir).Because(err)
	}
	return l.(*net.UnixListener), nil
}

// lockFolder opens the socket's folder and locks it. In a folder in which
// others may rename or remove things, they could put their socket in the
// place of ours.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, masu.E(masu.Denied, "socket_folder", dir).Because(err)
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	switch {
	case err != nil:
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		err = fmt.Errorf("the folder belongs to uid %d", st.Uid)
	case st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0:
		err = fmt.Errorf("the folder has the mode %#o", st.Mode&0o7777)
	default:
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		_ = f.Close()
		return nil, masu.E(masu.Denied, "socket_folder", dir).Because(err)
	}
	return f, nil
}

// clear removes a socket that nobody answers at.
func clear(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return masu.E(masu.Denied, "socket_folder", filepath.Dir(path)).Because(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return masu.E(masu.Conflict, "socket_taken", path)
	}
	c, err := net.DialTimeout("unix", path, answerTime)
	switch {
	case err == nil:
		_ = c.Close()
		return masu.E(masu.Conflict, "daemon_running", path)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return masu.E(masu.Denied, "socket_folder", filepath.Dir(path)).Because(err)
		}
		return nil
	}
	return masu.E(masu.Conflict, "daemon_running", path).Because(err) // it does not refuse: somebody is there
}
