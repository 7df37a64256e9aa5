package mirror

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Local is a folder of this machine. No path of it leads out of the folder,
// whatever links there are: os.Root sees to it.
type Local struct {
	root  *os.Root
	rules Rules
}

// OpenLocal opens a folder that is there.
func OpenLocal(dir string) (*Local, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	windows := runtime.GOOS == "windows"
	return &Local{root: root, rules: Rules{Folds: windows || runtime.GOOS == "darwin", Windows: windows}}, nil
}

// Close closes the folder.
func (l *Local) Close() error { return l.root.Close() }

// Rules are this system's.
func (l *Local) Rules() Rules { return l.rules }

func (l *Local) Look(p string) (Entry, error) {
	info, err := l.root.Lstat(filepath.FromSlash(p))
	if err != nil {
		return Entry{}, err
	}
	return l.entry(p, info)
}

func (l *Local) entry(p string, info fs.FileInfo) (Entry, error) {
	e := entryOf(info)
	var err error
	if e.Kind == Link {
		e.Target, err = l.root.Readlink(filepath.FromSlash(p))
	}
	if l.rules.Windows {
		e.Mode = 0
	}
	return e, err
}

// entryOf is what any side's word about a path comes to; a link's target is missing.
func entryOf(info fs.FileInfo) Entry {
	switch m := info.Mode(); {
	case m.IsRegular():
		return Entry{Kind: File, Size: info.Size(), Mode: m.Perm(), Time: info.ModTime()}
	case m.IsDir():
		return Entry{Kind: Folder, Mode: m.Perm(), Time: info.ModTime()}
	case m&fs.ModeSymlink != 0:
		return Entry{Kind: Link}
	}
	return Entry{Kind: Other}
}

func (l *Local) List(p string) (map[string]Entry, error) {
	f, err := l.root.Open(filepath.FromSlash(p))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Entry, len(names))
	for _, name := range names {
		e, err := l.Look(join(p, name))
		switch {
		case os.IsNotExist(err): // it has gone meanwhile
		case err != nil:
			return nil, err
		default:
			all[name] = e
		}
	}
	return all, nil
}

func (l *Local) Open(p string) (io.ReadCloser, error) { return l.root.Open(filepath.FromSlash(p)) }

func (l *Local) Create(p string) (io.WriteCloser, error) {
	return l.root.OpenFile(filepath.FromSlash(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (l *Local) MakeFolder(p string, mode fs.FileMode) error {
	return l.root.Mkdir(filepath.FromSlash(p), mode)
}

func (l *Local) MakeLink(p, target string) error {
	return l.root.Symlink(target, filepath.FromSlash(p))
}

func (l *Local) Stamp(p string, mode fs.FileMode, t time.Time) error {
	p = filepath.FromSlash(p)
	if mode != 0 && !l.rules.Windows {
		if err := l.root.Chmod(p, mode); err != nil {
			return err
		}
	}
	return l.root.Chtimes(p, t, t)
}

func (l *Local) Move(from, to string) error {
	return l.root.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
}

func (l *Local) Remove(p string) error { return l.root.Remove(filepath.FromSlash(p)) }
