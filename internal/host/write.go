package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

const (
	fileMode   = 0o644 // of what is written for a member, whatever the daemon's umask is
	folderMode = 0o755
)

// MakeFolder makes dir as the member; see masu.Folders.
func (h *Host) MakeFolder(u masu.User, dir string) error {
	parent, name := filepath.Split(dir)
	fd, err := h.openDir(u, filepath.Clean(parent), true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !plainName(name) {
		return masu.E(masu.Invalid, "folder_path_unclear", dir)
	}
	err = h.as(u, func() error {
		if err := unix.Mkdirat(fd, name, folderMode); err != nil {
			return err
		}
		made, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(made)
		return unix.Fchmod(made, folderMode)
	})
	if errors.Is(err, unix.EEXIST) {
		return masu.E(masu.Conflict, "folder_exists", dir)
	}
	return writeError(dir, err)
}

// WriteFile puts a file into a folder of the member's, as the member; see
// masu.Folders. A file that was there keeps its mode; what is no file stays.
func (h *Host) WriteFile(u masu.User, dir, name string, data []byte) error {
	fd, err := h.openDir(u, dir, true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	path := filepath.Join(dir, name)
	if !plainName(name) {
		return masu.E(masu.Invalid, "folder_path_unclear", path)
	}
	mode := uint32(fileMode)
	var st unix.Stat_t
	switch err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
		return masu.E(masu.Invalid, "file_not_regular", path)
	case err == nil:
		mode = st.Mode & 0o777
	}
	return writeError(path, h.as(u, func() error { return replaceAt(fd, name, data, mode) }))
}

func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}

// replaceAt writes a new file and puts it in the old one's place, so that
// nobody ever finds half of it.
func replaceAt(dir int, name string, data []byte, mode uint32) (err error) {
	temporary := "." + rand.Text() + ".masu"
	fd, err := unix.Openat(dir, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Unlinkat(dir, temporary, 0))
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, unix.Fchmod(fd, mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return unix.Renameat(dir, temporary, dir, name)
}

func writeError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return masu.E(masu.Full, "no_room_to_write", path).Because(err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return masu.E(masu.Denied, "cannot_write_there", path).Because(err)
	}
	return fmt.Errorf("host: write %s: %w", path, err)
}
