// Package chown gives the files of a tree to another owner, as root: through no
// link, into no other mount, and nothing that was not the former owner's.
package chown

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Owner is a user and their own group.
type Owner struct{ UID, GID int }

const (
	depthMost = 1000 // folders in folders; each costs a descriptor
	batch     = 1024 // entries that are read at once: a folder may hold millions
)

// Tree gives to one what another owns in a folder that is open, and the folder
// itself at last: where that is still the former owner's, it was interrupted, and
// can be done again. Files that change meanwhile are either taken or left.
func Tree(folder int, from, to Owner) error {
	t := tree{from: from, to: to}
	if err := t.inside(folder, 0); err != nil {
		return err
	}
	return t.give(folder)
}

type tree struct{ from, to Owner }

// inside gives what is in a folder.
func (t tree) inside(folder, depth int) error {
	if depth > depthMost {
		return fmt.Errorf("chown: more than %d folders in each other", depthMost)
	}
	fd, err := unix.Openat(folder, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	for {
		names, err := f.Readdirnames(batch)
		for _, name := range names {
			if err := t.entry(fd, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("chown: %w", err)
		}
	}
}

// entry gives one of a folder's, with all that is in it. It is looked at and
// given by one descriptor, so that nothing else can be put in its place between.
func (t tree) entry(folder int, name string, depth int) error {
	fd, err := unix.Openat2(folder, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EXDEV): // it has gone meanwhile; something is mounted there
		return nil
	case err != nil:
		return fmt.Errorf("chown: %s: %w", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("chown: %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := t.inside(fd, depth+1); err != nil {
			return err
		}
	}
	return t.give(fd)
}

// give gives what a descriptor is of. The kernel takes setuid and capabilities away on the way.
func (t tree) give(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if int(st.Uid) != t.from.UID {
		return nil
	}
	gid := -1 // a group that several share stays
	if int(st.Gid) == t.from.GID {
		gid = t.to.GID
	}
	if err := unix.Fchownat(fd, "", t.to.UID, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return nil
}
