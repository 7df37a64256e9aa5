package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"slices"
	"strings"
	"syscall"
)

// On a cluster a volume is reached through a pod that holds it and nothing
// else: these commands run there, and the image has no other program.

const holeSize = 64 << 10 // so many zeros in a row are not written

// hold keeps a pod alive while others work in it.
func hold(ctx context.Context) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	return 0
}

func packTo(dir string, w io.Writer) int   { return hauled(pack(dir, w)) }
func unpackIn(dir string, r io.Reader) int { return hauled(unpack(dir, r)) }

// bring is both at once.
func bring(dir, to string) int {
	from, into := io.Pipe()
	go func() { into.CloseWithError(pack(dir, into)) }()
	err := unpack(to, from)
	from.CloseWithError(err)
	return hauled(err)
}

func hauled(err error) int {
	if err != nil {
		complain(err)
		return exitAgent
	}
	return 0
}

// pack writes what a folder holds. Sockets and the like are left out: they
// mean nothing to another machine.
func pack(dir string, w io.Writer) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	out, first := tar.NewWriter(w), map[uint64]string{} // files of several names
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		link := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if link, err = root.Readlink(name); err != nil {
				return err
			}
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name, h.Format = "./"+name, tar.FormatPAX // times to the nanosecond, and any name
		h.Uname, h.Gname = "", ""                   // here they mean nobody
		st, known := info.Sys().(*syscall.Stat_t)
		if known && info.Mode().IsRegular() && st.Nlink > 1 {
			if old, again := first[st.Ino]; again {
				h.Typeflag, h.Linkname, h.Size = tar.TypeLink, old, 0
			} else {
				first[st.Ino] = h.Name
			}
		}
		return packOne(root, name, h, out)
	})
	return errors.Join(err, out.Close())
}

func packOne(root *os.Root, name string, h *tar.Header, out *tar.Writer) error {
	if err := out.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(out, f, h.Size)
	return err
}

// unpack fills an empty folder. Nothing is put outside of it, whatever the
// names say. Owners are kept where this is root, and else all becomes its own.
func unpack(dir string, r io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in, u := tar.NewReader(r), unpacking{root: root, owners: os.Geteuid() == 0}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.folders()
		}
		if err == nil {
			err = u.take(h, in)
		}
		if err != nil {
			return err
		}
	}
}

type unpacking struct {
	root   *os.Root
	owners bool
	dirs   []*tar.Header // whose modes and times come last: one may forbid to write
}

func (u *unpacking) take(h *tar.Header, body io.Reader) error {
	h.Name = inside(h.Name)
	if above := path.Dir(h.Name); above != "." {
		if err := u.root.MkdirAll(above, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(h.Name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		u.dirs = append(u.dirs, h)
		return nil
	case tar.TypeReg:
		return u.file(h, body)
	case tar.TypeGNUSparse:
		return errSparse
	case tar.TypeLink:
		return u.root.Link(inside(h.Linkname), h.Name)
	case tar.TypeSymlink:
		if err := u.root.Symlink(h.Linkname, h.Name); err != nil || !u.owners {
			return err
		}
		return u.root.Lchown(h.Name, h.Uid, h.Gid)
	}
	return nil // a device or a pipe
}

// inside is a name in the archive as one below the folder.
func inside(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// errSparse refuses files that are larger than what stands of them in the
// archive: a few bytes would become any number, and no runtime writes such.
var errSparse = errors.New("a sparse file in the archive")

func (u *unpacking) file(h *tar.Header, body io.Reader) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return errSparse
		}
	}
	f, err := u.root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(sparse(f, body, h.Size), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return u.dress(h)
}

// dress gives an entry its owner, mode and times.
func (u *unpacking) dress(h *tar.Header) error {
	mode := h.FileInfo().Mode()
	if u.owners {
		if err := u.root.Lchown(h.Name, h.Uid, h.Gid); err != nil {
			return err
		}
	} else {
		mode &^= fs.ModeSetuid | fs.ModeSetgid // they were another's to give
	}
	if err := u.root.Chmod(h.Name, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	return u.root.Chtimes(h.Name, h.ModTime, h.ModTime)
}

func (u *unpacking) folders() error {
	for _, h := range slices.Backward(u.dirs) {
		if err := u.dress(h); err != nil && (u.owners || h.Name != ".") { // the top may be another's to keep
			return err
		}
	}
	return nil
}

// sparse writes a file and leaves holes where zeros are.
func sparse(f *os.File, body io.Reader, size int64) error {
	block, zeros := make([]byte, holeSize), make([]byte, holeSize)
	for at := int64(0); at < size; {
		n, err := io.ReadFull(body, block[:min(holeSize, size-at)])
		if err != nil {
			return err
		}
		if !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := f.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return f.Truncate(size)
}
