package host

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// mostKeys bounds the size of an authorized_keys.
const mostKeys = 256 << 10

// AuthorizedKeys reads a member's ~/.ssh/authorized_keys with the member's own
// rights. Its stamp changes with the file; one that is seen already is not read
// again, and "" means that there is none. As sshd does, it believes no file
// that somebody else could have written.
func (h *Host) AuthorizedKeys(u masu.User, seen string) (text []byte, stamp string, err error) {
	f, stamp, err := h.openKeys(u)
	if err != nil || f == nil {
		return nil, "", err
	}
	defer f.Close()
	if stamp == seen {
		return nil, stamp, nil
	}
	text, err = io.ReadAll(io.LimitReader(f, mostKeys+1))
	if err == nil && len(text) > mostKeys {
		err = fmt.Errorf("host: %s is greater than %d KiB", f.Name(), mostKeys>>10)
	}
	return text, stamp, err
}

// openKeys opens the file, following links in the path of the home, which is
// the host's, and none below it; nil if there is no such file.
func (h *Host) openKeys(u masu.User) (*os.File, string, error) {
	name := u.Home + "/.ssh/authorized_keys"
	fd, stamp := -1, ""
	err := h.as(u, func() (err error) {
		fd, stamp, err = walkToKeys(u)
		return err
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), stamp, nil
}

// walkToKeys goes down by descriptors; what it has passed is not looked up again.
func walkToKeys(u masu.User) (at int, stamp string, err error) {
	at = unix.AT_FDCWD
	for _, step := range []struct {
		path           string
		flags, resolve uint64
	}{
		{u.Home, unix.O_PATH | unix.O_DIRECTORY, unix.RESOLVE_NO_MAGICLINKS},
		{".ssh", unix.O_PATH | unix.O_DIRECTORY, unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS},
		{"authorized_keys", unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY, unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS},
	} {
		fd, err := unix.Openat2(at, step.path, &unix.OpenHow{Flags: step.flags | unix.O_CLOEXEC, Resolve: step.resolve})
		if at != unix.AT_FDCWD {
			unix.Close(at)
		}
		if err != nil {
			return -1, "", err
		}
		at = fd
		if stamp, err = believable(fd, u, step.flags&unix.O_DIRECTORY != 0); err != nil {
			unix.Close(fd)
			return -1, "", err
		}
	}
	return at, stamp, nil
}

var errOthersWrite = errors.New("others than its owner could have written it")

// believable tells what a file's stamp is, if nobody but the member and root could have written it.
func believable(fd int, u masu.User, dir bool) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	switch {
	case !dir && st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", errSpecial
	case int(st.Uid) != u.UID && st.Uid != 0, st.Mode&0o022 != 0:
		return "", errOthersWrite
	}
	return fmt.Sprintf("%d %d %d %d.%d %d.%d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec), nil
}
