package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// openDir opens a folder by descriptor, as the member, following no link
// anywhere on the way. After it the path is never looked up again, so nothing
// that is put in its place can win a race.
func (h *Host) openDir(u masu.User, dir string, owned bool) (int, error) {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || strings.ContainsRune(dir, 0) {
		return -1, masu.E(masu.Invalid, "folder_path_unclear", dir)
	}
	fd := -1
	err := h.as(u, func() (err error) {
		fd, err = unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		})
		return err
	})
	if err != nil {
		return -1, folderError(dir, err)
	}
	if !owned {
		return fd, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, errors.Join(fmt.Errorf("host: %s: %w", dir, err), unix.Close(fd))
	}
	if int(st.Uid) != u.UID {
		unix.Close(fd)
		return -1, masu.E(masu.Denied, "folder_not_yours", dir)
	}
	return fd, nil
}

// folderError tells the member why a folder could not be opened. Where they
// may not look they are not told what is there.
func folderError(dir string, err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return masu.E(masu.Invalid, "folder_is_a_link", dir).Because(err)
	case errors.Is(err, unix.ENOTDIR):
		return masu.E(masu.Invalid, "folder_not_a_folder", dir).Because(err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENAMETOOLONG):
		return masu.E(masu.Invalid, "folder_not_found", dir).Because(err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return masu.E(masu.Denied, "folder_not_yours", dir).Because(err)
	case errors.Is(err, unix.ENOSYS):
		return masu.E(masu.Internal, "kernel_too_old", "5.6").Because(err)
	}
	return fmt.Errorf("host: open %s: %w", dir, err)
}
