package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/masu-lab/masu"
)

// writeBelow writes one file. What root writes for a member is the member's.
func (a *app) writeBelow(root *os.Root, f masu.File) error {
	uid, gid, other := a.owner()
	if parent := filepath.Dir(f.Path); parent != "." {
		_, err := root.Lstat(parent)
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
		if errors.Is(err, fs.ErrNotExist) && other {
			if err := root.Lchown(parent, uid, gid); err != nil {
				return err
			}
		}
	}
	mode := os.FileMode(f.Mode)
	if mode == 0 {
		mode = 0o644
	}
	if err := root.WriteFile(f.Path, []byte(f.Text), mode); err != nil {
		return err
	}
	if err := root.Chmod(f.Path, mode); err != nil { // also for one that was there
		return err
	}
	if other {
		return root.Lchown(f.Path, uid, gid)
	}
	return nil
}

// replaceFile writes a file that only its owner reads, at once or not at all.
func replaceFile(path string, text []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(path), ".masu.*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // gone already when all went well
	_, err = draft.Write(text)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}
