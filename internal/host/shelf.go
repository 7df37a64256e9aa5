package host

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mostUnpacked bounds what one program may take on disk.
const mostUnpacked = 4 << 30

// Shelf keeps programs of masu's own, which boxes have mounted read-only, each in a folder of its own.
type Shelf struct{ dir string }

// NewShelf keeps them below dir.
func NewShelf(dir string) *Shelf { return &Shelf{dir} }

// Find gives the folder of what was put there under a name; "" if nothing was.
func (s *Shelf) Find(name string) string {
	dir := filepath.Join(s.dir, name)
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		return ""
	}
	return dir
}

// Put unpacks a tar, whose first part of each path is left out. It is there as a
// whole or not at all; what somebody began and did not end is removed.
func (s *Shelf) Put(ctx context.Context, name string, from io.Reader) (err error) {
	if name == "." || !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) {
		return fmt.Errorf("host: %q cannot be on the shelf", name)
	}
	next := filepath.Join(s.dir, "."+name)
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("host: shelf: %w", err)
	}
	if err := os.MkdirAll(next, 0o755); err != nil {
		return fmt.Errorf("host: shelf: %w", err)
	}
	if err := unpack(ctx, next, from); err != nil {
		return errors.Join(fmt.Errorf("host: shelf: %w", err), os.RemoveAll(next))
	}
	return os.Rename(next, filepath.Join(s.dir, name))
}

// unpack writes folders, files and links; nothing of it can be outside of dir, whatever the tar says.
func unpack(ctx context.Context, dir string, from io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(mostUnpacked)
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(strings.Trim(filepath.Clean("/"+h.Name), "/"), "/")
		if left -= h.Size; left < 0 {
			return errors.New("the tar is too large")
		}
		if name == "" {
			continue // the folder itself
		}
		if err := unpackEntry(root, name, h, r); err != nil {
			return err
		}
	}
}

func unpackEntry(root *os.Root, name string, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		_, target, _ := strings.Cut(strings.Trim(filepath.Clean("/"+h.Linkname), "/"), "/")
		return root.Link(target, name)
	case tar.TypeReg:
	default:
		return fmt.Errorf("%s is neither file, folder nor link", h.Name)
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
