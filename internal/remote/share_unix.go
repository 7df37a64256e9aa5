//go:build unix

package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// maxFolder is how long a folder may be: ssh binds a longer name first than the
// one it keeps, and systems differ in how much of a path a socket takes.
const maxFolder = 100 - 12 - len(".0123456789abcdef")

// Folder makes the folder in which shared connections have their sockets, which
// nobody but this user may enter.
func Folder(runtime string) (string, error) {
	dir := filepath.Join(runtime, "masu-ssh")
	if runtime == "" || len(dir) > maxFolder {
		dir = fmt.Sprintf("/tmp/masu-ssh-%d", os.Geteuid())
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", masu.E(masu.Denied, "ssh_folder", dir).Because(err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", masu.E(masu.Denied, "ssh_folder", dir).Because(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return "", masu.E(masu.Denied, "ssh_folder", dir)
	}
	return dir, nil
}

// lock lets one at a time make a connection.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, masu.E(masu.Denied, "ssh_folder", filepath.Dir(path)).Because(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, masu.E(masu.Cancelled, "cancelled").Because(context.Cause(ctx))
		case <-tick.C:
		}
	}
	return func() { _ = f.Close() }, nil
}

// aside keeps the terminal's Ctrl-C from a process: it is masu's, which ends the
// process itself. One that may have to ask at the terminal stays.
func aside(cmd *exec.Cmd, quiet bool) {
	if quiet {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
}
