package mirror

import (
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
)

// SFTP is a folder that an sftp server has. Its times are whole seconds.
type SFTP struct {
	c   *sftp.Client
	dir string
}

// NewSFTP gives a folder of the server's.
func NewSFTP(c *sftp.Client, dir string) *SFTP { return &SFTP{c, dir} }

// Rules are a box's: Linux.
func (f *SFTP) Rules() Rules { return Rules{} }

func (f *SFTP) at(p string) string { return path.Join(f.dir, p) }

func (f *SFTP) Look(p string) (Entry, error) {
	info, err := f.c.Lstat(f.at(p))
	if err != nil {
		return Entry{}, err
	}
	return f.entry(p, info)
}

func (f *SFTP) entry(p string, info fs.FileInfo) (Entry, error) {
	e := entryOf(info)
	var err error
	if e.Kind == Link {
		e.Target, err = f.c.ReadLink(f.at(p))
	}
	return e, err
}

func (f *SFTP) List(p string) (map[string]Entry, error) {
	infos, err := f.c.ReadDir(f.at(p))
	if err != nil {
		return nil, err
	}
	all := make(map[string]Entry, len(infos))
	for _, info := range infos {
		e, err := f.entry(join(p, info.Name()), info)
		switch {
		case os.IsNotExist(err): // it has gone meanwhile
		case err != nil:
			return nil, err
		default:
			all[info.Name()] = e
		}
	}
	return all, nil
}

func (f *SFTP) Open(p string) (io.ReadCloser, error) { return f.c.Open(f.at(p)) }

func (f *SFTP) Create(p string) (io.WriteCloser, error) {
	file, err := f.c.OpenFile(f.at(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err == nil {
		err = file.Chmod(0o600)
	}
	return file, err
}

func (f *SFTP) MakeFolder(p string, mode fs.FileMode) error {
	if err := f.c.Mkdir(f.at(p)); err != nil || mode == 0 {
		return err
	}
	return f.c.Chmod(f.at(p), mode)
}

func (f *SFTP) MakeLink(p, target string) error { return f.c.Symlink(target, f.at(p)) }

func (f *SFTP) Stamp(p string, mode fs.FileMode, t time.Time) error {
	if mode != 0 {
		if err := f.c.Chmod(f.at(p), mode); err != nil {
			return err
		}
	}
	return f.c.Chtimes(f.at(p), t, t)
}

func (f *SFTP) Move(from, to string) error { return f.c.PosixRename(f.at(from), f.at(to)) }

func (f *SFTP) Remove(p string) error { return f.c.Remove(f.at(p)) }
