package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/masu-lab/masu"
)

// projectDir gives the project folder as an absolute path. A home directory or
// the root of the file system is nobody's project: ~/work is taken instead,
// and made if that is wished.
// For a daemon elsewhere the folder is said as it was: see farDir.
func (a *app) projectDir(dir string, create bool) (string, error) {
	if a.server != nil {
		return dir, nil
	}
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", masu.E(masu.NotFound, "cwd_gone").Because(err)
	}
	// The daemon follows no links, for it must not be led astray; here the
	// member's own shell has been led already, and knows where to.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	home := filepath.Clean(a.home())
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	if abs != "/" && abs != home {
		return abs, nil
	}
	work := filepath.Join(home, "work")
	if _, err := os.Stat(work); errors.Is(err, os.ErrNotExist) && create {
		if err := a.makeWork(work); err != nil {
			return "", masu.E(masu.Denied, "work_not_made", work).Because(err)
		}
		a.note("work_made", work)
		return work, nil
	}
	a.note("work_taken", work)
	return work, nil
}

// makeWork makes the member's ~/work. Root, acting for a member, gives it to
// them by descriptor: by name it could be exchanged for something else meanwhile.
func (a *app) makeWork(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	uid, gid, other := a.owner()
	if !other {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chown(uid, gid)
}

// connectOrStart finds the daemon, or makes this machine ready and starts one.
func (a *app) connectOrStart(ctx context.Context, yes bool) (service, error) {
	s, err := a.connect(ctx)
	switch {
	case a.server != nil: // a machine elsewhere is made ready there
		return s, err
	case err == nil:
		return s, a.awaken(ctx, s, yes)
	case masu.CodeOf(err) != "no_daemon":
		return nil, err
	}
	if err := a.prepare(ctx, yes); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", a.daemonLog()).Because(err)
	}
	return a.startDaemon(ctx, self)
}

// awaken mends the machine where the daemon runs but its engine does not answer.
func (a *app) awaken(ctx context.Context, s service, yes bool) error {
	hello, err := s.Whoami(ctx)
	if err != nil || !slices.ContainsFunc(hello.Notes, func(n masu.Note) bool { return n.Code == "engine_away" }) {
		return err
	}
	return a.prepare(ctx, yes)
}
