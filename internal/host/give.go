package host

import (
	"context"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/chown"
	"github.com/masu-lab/masu/internal/gauge"
)

// GiveFolder moves a folder of one member's to at, which is in a folder of the
// other's, or leaves it where it is if that is at, and gives them what the first
// owned in it; see masu.FolderGiver.
func (h *Host) GiveFolder(from, to masu.User, dir, at string) error {
	if !h.cfg.Root {
		return masu.E(masu.Denied, "folder_not_yours", dir)
	}
	fd, err := h.openDir(from, dir, true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if dir != at {
		if err := h.moveDir(from, to, fd, dir, at); err != nil {
			return err
		}
	}
	return chown.Tree(fd, chown.Owner{UID: from.UID, GID: from.GID}, chown.Owner{UID: to.UID, GID: to.GID})
}

// moveDir renames the folder that is open as fd. Both its parents are opened as
// their members, so that neither has it put where they could not.
func (h *Host) moveDir(from, to masu.User, fd int, dir, at string) error {
	old, err := h.openDir(from, path.Dir(dir), false)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	parent, err := h.openDir(to, path.Dir(at), true)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	var is, named unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &is), unix.Fstatat(old, path.Base(dir), &named, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		return fmt.Errorf("host: %s: %w", dir, err)
	}
	if is.Dev != named.Dev || is.Ino != named.Ino {
		return masu.E(masu.Invalid, "folder_not_found", dir)
	}
	err = unix.Renameat2(old, path.Base(dir), parent, path.Base(at), unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return masu.E(masu.Conflict, "folder_exists", at)
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EBUSY): // another disk, or something is mounted there
		return masu.E(masu.Conflict, "folder_elsewhere", dir, at)
	case err != nil:
		return fmt.Errorf("host: move %s to %s: %w", dir, at, err)
	}
	return nil
}

// LookFolder tells whose a folder is, and how much is in it; see masu.FolderGiver.
func (h *Host) LookFolder(ctx context.Context, dir string) (uid int, size masu.Bytes, err error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return 0, 0, folderError(dir, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, 0, fmt.Errorf("host: %s: %w", dir, err)
	}
	size, err = gauge.Disk(ctx, dir)
	return int(st.Uid), size, err
}
