package host

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// OpenFolder opens a member's folder to be read; see masu.Folders. The path
// must be absolute and clean, else it is Invalid "folder_path_unclear". Links
// inside are listed as links and can be read as such (fs.ReadLinkFS), but are
// never followed; only regular files and folders can be opened.
func (h *Host) OpenFolder(u masu.User, dir string) (masu.Folder, error) {
	fd, err := h.openDir(u, dir, true)
	if err != nil {
		return nil, err
	}
	return &folder{host: h, user: u, dir: dir, fd: fd}, nil
}

type folder struct {
	host *Host
	user masu.User
	dir  string

	mu sync.RWMutex // held for writing by Close alone
	fd int          // -1 when closed
}

var _ fs.ReadLinkFS = (*folder)(nil)

var (
	errSpecial = errors.New("neither a regular file nor a folder")
	errIsLink  = errors.New("a link, which is not followed")
)

func (f *folder) Dir() string { return f.dir }

func (f *folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return nil
	}
	err := unix.Close(f.fd)
	f.fd = -1
	return err
}

// open opens a path below the folder as the member, and never outside of it.
func (f *folder) open(op, name string, flags uint64) (int, error) {
	if !fs.ValidPath(name) {
		return -1, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.fd < 0 {
		return -1, &fs.PathError{Op: op, Path: name, Err: fs.ErrClosed}
	}
	fd := -1
	err := f.host.as(f.user, func() (err error) {
		fd, err = unix.Openat2(f.fd, name, &unix.OpenHow{
			Flags:   flags | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		})
		return err
	})
	switch {
	case errors.Is(err, unix.ELOOP):
		return -1, &fs.PathError{Op: op, Path: name, Err: errIsLink}
	case errors.Is(err, unix.ENXIO): // a socket, or a device without its driver
		return -1, &fs.PathError{Op: op, Path: name, Err: errSpecial}
	case err != nil:
		return -1, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return fd, nil
}

func (f *folder) Open(name string) (fs.File, error) {
	// O_NONBLOCK so that nobody is made to wait for the other end of a pipe.
	fd, err := f.open("open", name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	kind := st.Mode & unix.S_IFMT
	if err == nil && kind != unix.S_IFREG && kind != unix.S_IFDIR {
		err = errSpecial
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	if kind == unix.S_IFDIR {
		return &dirFile{File: file, folder: f}, nil
	}
	return file, nil
}

// Lstat describes a path; a link is described itself.
func (f *folder) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name) }

// Stat is Lstat: links are never followed.
func (f *folder) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name) }

func (f *folder) stat(op, name string) (fs.FileInfo, error) {
	fd, err := f.open(op, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	i := info{name: path.Base(name)}
	if err := unix.Fstat(fd, &i.st); err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return i, nil
}

func (f *folder) ReadLink(name string) (string, error) {
	fd, err := f.open("readlink", name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if errors.Is(err, unix.ENOENT) { // how the kernel says that the descriptor is of no link
		err = unix.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(b[:n]), nil
}

func (f *folder) ReadDir(name string) ([]fs.DirEntry, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d, ok := file.(*dirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: unix.ENOTDIR}
	}
	list, err := d.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// dirFile is an open folder. The standard library's own would look its entries
// up by a path that means nothing outside.
type dirFile struct {
	*os.File
	folder *folder
}

func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		names, err := d.Readdirnames(n)
		list := d.describe(names)
		if n <= 0 || len(list) > 0 || err != nil {
			return list, err
		}
	}
}

// describe leaves out what has gone since it was listed.
func (d *dirFile) describe(names []string) []fs.DirEntry {
	list := make([]fs.DirEntry, 0, len(names))
	raw, err := d.SyscallConn()
	if err != nil {
		return list
	}
	_ = d.folder.host.as(d.folder.user, func() error {
		return raw.Control(func(fd uintptr) {
			for _, name := range names {
				i := info{name: name}
				if unix.Fstatat(int(fd), name, &i.st, unix.AT_SYMLINK_NOFOLLOW) == nil {
					list = append(list, fs.FileInfoToDirEntry(i))
				}
			}
		})
	})
	return list
}

// info is what the kernel tells of a file.
type info struct {
	name string
	st   unix.Stat_t
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.st.Size }
func (i info) IsDir() bool        { return i.Mode().IsDir() }
func (i info) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i info) Sys() any           { return &i.st }

func (i info) Mode() fs.FileMode {
	m := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	if i.st.Mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if i.st.Mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if i.st.Mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}
