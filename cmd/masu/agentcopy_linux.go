package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// agentCopy puts a copy of this very program below the state folder, under its
// digest, and gives its path. Boxes run that copy as their first process, so an
// upgrade of masu never touches a box that runs. Copies of other programs go:
// a box that runs keeps its own, and one that does not is made anew at its start.
func agentCopy(state string) (string, error) {
	self, err := os.Open("/proc/self/exe") // what runs, even if its file was replaced meanwhile
	if err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	defer self.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, self); err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	dir := filepath.Join(state, "agent", digest[:16])
	path := filepath.Join(dir, "masu")
	if err := removeOthers(filepath.Dir(dir), filepath.Base(dir)); err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	if same(path, digest) {
		return path, nil
	}
	if _, err := self.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	if err := copyFile(self, path); err != nil {
		return "", fmt.Errorf("agent copy: %w", err)
	}
	return path, nil
}

// removeOthers empties a folder but for one entry.
func removeOthers(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != keep {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// same tells whether the file is there and whole.
func same(path, digest string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == digest
}

// copyFile writes an executable file at once or not at all.
func copyFile(from io.Reader, path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "masu.*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	if _, err := io.Copy(tmp, from); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o755); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Sync(); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
