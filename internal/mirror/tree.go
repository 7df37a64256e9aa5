// Package mirror keeps a folder of a laptop and one of a box alike, and copies
// between them. What is to be done is planned from three pictures, of both sides
// and of what was last alike, by pure code; both sides are behind one interface.
package mirror

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Kind is what stands under a name.
type Kind string

const (
	None   Kind = ""
	File   Kind = "file"
	Folder Kind = "folder"
	Link   Kind = "link"
	Other  Kind = "other" // a socket, a device, a pipe: left alone
)

// Entry is what a side says about one of its paths.
type Entry struct {
	Kind   Kind        `json:"kind"`
	Size   int64       `json:"size,omitempty"` // of a file
	Mode   fs.FileMode `json:"mode,omitempty"` // its permissions; 0 where the system has none
	Time   time.Time   `json:"time,omitzero"`  // when a file's content was last written; of a folder it counts for nothing
	Target string      `json:"target,omitempty"`
}

// same tells whether two looks at one side's path saw the same. A folder is a folder.
func (e Entry) same(o Entry) bool {
	if e.Kind != o.Kind {
		return false
	}
	switch e.Kind {
	case File:
		return e.Size == o.Size && e.Mode == o.Mode && e.Time.Equal(o.Time)
	case Link:
		return e.Target == o.Target
	}
	return true
}

// leaf tells whether it is content of its own.
func (e Entry) leaf() bool { return e.Kind == File || e.Kind == Link }

// Tree is a folder on some machine. Paths in it are relative, clean and have
// slashes; "." is the folder itself. No method follows a link at the path's end.
type Tree interface {
	// Look is fs.ErrNotExist where there is nothing.
	Look(p string) (Entry, error)
	// List gives a folder's entries by their names.
	List(p string) (map[string]Entry, error)
	Open(p string) (io.ReadCloser, error)
	// Create makes a file that is not there yet, for its owner alone.
	Create(p string) (io.WriteCloser, error)
	MakeFolder(p string, mode fs.FileMode) error
	MakeLink(p, target string) error
	// Stamp sets a file's permissions, where the system has them, and its time.
	Stamp(p string, mode fs.FileMode, t time.Time) error
	// Move puts a file or a link in the place of what is there.
	Move(from, to string) error
	// Remove removes a file, a link or an empty folder.
	Remove(p string) error
	Rules() Rules
}

// Rules are what a side's file system can hold.
type Rules struct {
	Folds   bool // names that differ in case only are one
	Windows bool // no names that Windows refuses, no permissions, no links
}

// takes tells whether the side can have such a path.
func (r Rules) takes(p string, e Entry) bool {
	if !r.Windows {
		return true
	}
	if e.Kind == Link {
		return false
	}
	for name := range strings.SplitSeq(p, "/") {
		if !windowsName(name) {
			return false
		}
	}
	return true
}

// windowsName tells whether Windows can have a file of this name.
func windowsName(name string) bool {
	if strings.ContainsAny(name, `<>:"|?*\`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return false
	}
	for _, r := range name {
		if r < ' ' {
			return false
		}
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem = strings.TrimRight(stem, " "); {
	case stem == "CON", stem == "PRN", stem == "AUX", stem == "NUL", stem == "CONIN$", stem == "CONOUT$":
		return false
	case len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")):
		return stem[3] < '0' || stem[3] > '9'
	}
	return true
}

// within tells whether a path stands below a folder.
func within(p, folder string) bool { return folder == "." || strings.HasPrefix(p, folder+"/") }

// above yields the folders over a path, the nearest first, without the tree itself.
func above(p string, yield func(string) bool) {
	for d := path.Dir(p); d != "." && d != "/" && yield(d); d = path.Dir(d) {
	}
}
