package project

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// leaf is a file of a tree as it was when the tree was made.
type leaf struct {
	name string
	mode fs.FileMode
	size int64
	time time.Time
	sum  [sha256.Size]byte
}

func (l leaf) Name() string       { return l.name }
func (l leaf) Mode() fs.FileMode  { return l.mode }
func (l leaf) Size() int64        { return l.size }
func (l leaf) ModTime() time.Time { return l.time }
func (l leaf) IsDir() bool        { return false }
func (l leaf) Sys() any           { return nil }

// Digest identifies the files by their paths, modes and contents.
func (t *tree) Digest() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		f := t.files[name]
		fmt.Fprintf(h, "%q %o %d %x\n", name, f.mode, f.size, f.sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Open opens a file or directory of the context.
func (t *tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	want, isFile := t.files[name]
	entries, isDir := t.dirs[name]
	if !isFile && !isDir && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := t.folder.Open(path.Join(t.root, name))
	if err != nil {
		return nil, err
	}
	if isFile {
		return &checked{File: f, name: name, want: want, hash: sha256.New()}, nil
	}
	return &listed{File: f, entries: entries}, nil
}

// checked is a file that must still be what it was.
type checked struct {
	fs.File
	name string
	want leaf
	hash hash.Hash
	n    int64
}

// Stat tells what the file was; Read sees to it that it still is.
func (c *checked) Stat() (fs.FileInfo, error) { return c.want, nil }

// Read fails at the end, before the last bytes are given away, if the contents are not those of the digest.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.n += int64(n)
	c.hash.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	ended := err != nil || c.n >= c.want.size
	if ended && (c.n != c.want.size || [sha256.Size]byte(c.hash.Sum(nil)) != c.want.sum) {
		return 0, masu.E(masu.Conflict, "context_changed", c.name)
	}
	return n, err
}

// listed is a directory that shows only what belongs to the context.
type listed struct {
	fs.File
	entries []fs.DirEntry
}

// ReadDir lists what is left, as fs.ReadDirFile says.
func (l *listed) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(l.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(l.entries) {
		n = len(l.entries)
	}
	out := l.entries[:n]
	l.entries = l.entries[n:]
	return out, nil
}
