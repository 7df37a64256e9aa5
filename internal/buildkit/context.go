package buildkit

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/masu-lab/masu"
)

// Context is a folder as the tar stream that a builder reads.
type Context struct {
	*io.PipeReader
	done  chan struct{}
	err   error // of the folder, not of the stream
	left  int   // entries that are neither files nor folders
	first string
}

// NewContext begins the stream of a folder.
func NewContext(files fs.FS) *Context {
	pr, pw := io.Pipe()
	c := &Context{PipeReader: pr, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		err := c.write(tar.NewWriter(pw), files)
		if !errors.Is(err, io.ErrClosedPipe) {
			c.err = err
		}
		pw.CloseWithError(err)
	}()
	return c
}

// Close ends the stream and tells what was wrong with the folder.
func (c *Context) Close() error {
	_ = c.PipeReader.Close()
	<-c.done
	return c.err
}

// TellLeft tells what was left out, when the stream has ended.
func (c *Context) TellLeft(progress func(masu.Progress)) {
	if c.left > 0 {
		progress(masu.Progress{At: time.Now(), Code: "context_links", Args: []string{fmt.Sprint(c.left), c.first}})
	}
}

// write sends regular files and folders as root's. Links could point out of
// the folder and are left out.
func (c *Context) write(tw *tar.Writer, files fs.FS) error {
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return masu.E(masu.Invalid, "context_unreadable", path).Because(err)
		}
		if path == "." {
			return nil
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			if c.left++; c.first == "" {
				c.first = path
			}
			return nil
		}
		return writeEntry(tw, files, path, d)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func writeEntry(tw *tar.Writer, files fs.FS, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return masu.E(masu.Invalid, "context_unreadable", path).Because(err)
	}
	h := &tar.Header{Name: path, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Typeflag: tar.TypeReg, Size: info.Size()}
	if h.ModTime.IsZero() {
		h.ModTime = time.Unix(0, 0)
	}
	if d.IsDir() {
		h.Name, h.Typeflag, h.Size = path+"/", tar.TypeDir, 0
		return tw.WriteHeader(h)
	}
	f, err := files.Open(path)
	if err != nil {
		return masu.E(masu.Invalid, "context_unreadable", path).Because(err)
	}
	defer f.Close()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(tw, io.LimitReader(f, h.Size))
	if err == nil && n < h.Size {
		return masu.E(masu.Conflict, "context_changed", path)
	}
	return err
}
