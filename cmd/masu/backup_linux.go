package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sqlite"
	"github.com/masu-lab/masu/internal/sshd"
)

// A backup is a tar.gz of the files below, a manifest first. Homes and
// projects are not in it: they are where they always were.
const (
	manifestName = "manifest.json"
	backupForm   = 1
	backupMost   = 4 << 30 // bytes of one file in a backup
)

// backupNames are the files that a backup may hold, and nothing else.
func backupNames() []string {
	return []string{"masu.db", "masu.db.lab", sshd.HostKeyName, "config.yaml"}
}

// manifest says what is in a backup.
type manifest struct {
	Form    int               `json:"form"`
	Version string            `json:"version"`
	At      time.Time         `json:"at"`
	Files   map[string]string `json:"files"` // SHA-256 by name
}

func (a *app) backupCommand() *cobra.Command {
	var state, config string
	c := a.command("backup", "backup [FILE]", groupServer, a.args(0, 1), func(ctx context.Context, args []string) error {
		file := time.Now().Format("masu-20060102-150405.tar.gz")
		if len(args) > 0 {
			file = args[0]
		}
		size, err := writeBackup(ctx, file, state, config)
		if err != nil {
			return err
		}
		a.note("backup_done", file, size)
		return nil
	})
	a.stateFlag(c, &state)
	a.configFlag(c, &config)
	return c
}

// configFlag gives a command the flag --config.
func (a *app) configFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "config", a.configPath(), "")
	c.Flags().Lookup("config").DefValue = "/etc/masu/config.yaml"
}

// writeBackup gathers the files, each at one moment, and writes them at once or not at all.
func writeBackup(ctx context.Context, file, state, config string) (size masu.Bytes, err error) {
	if _, err := os.Lstat(storePath(state)); err != nil {
		return 0, masu.E(masu.NotFound, "store_missing", storePath(state)).Because(err)
	}
	dir, err := os.MkdirTemp("", "masu-backup-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := sqlite.Copy(ctx, storePath(state), filepath.Join(dir, "masu.db")); err != nil {
		return 0, err
	}
	for name, from := range map[string]string{"masu.db.lab": storePath(state) + ".lab", sshd.HostKeyName: filepath.Join(state, sshd.HostKeyName), "config.yaml": config} {
		b, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			return 0, masu.E(masu.Denied, "backup_unreadable", from).Because(err)
		}
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, masu.E(masu.Conflict, "backup_there", file).Because(err)
	}
	if err != nil {
		return 0, masu.E(masu.Invalid, "cannot_write", file).Because(err)
	}
	err = errors.Join(pack(out, dir), out.Sync())
	if info, serr := out.Stat(); serr == nil {
		size = masu.Bytes(info.Size())
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return 0, errors.Join(masu.E(masu.Invalid, "cannot_write", file).Because(err), os.Remove(file))
	}
	return size, nil
}

// pack writes the files of a folder that a backup may hold.
func pack(to io.Writer, dir string) error {
	m := manifest{Form: backupForm, Version: version, At: time.Now().UTC(), Files: map[string]string{}}
	for _, name := range backupNames() {
		sum, err := sumOf(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		m.Files[name] = sum
	}
	z := gzip.NewWriter(to)
	t := tar.NewWriter(z)
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := addFile(t, manifestName, int64(len(b)), m.At, strings.NewReader(string(b))); err != nil {
		return err
	}
	for _, name := range backupNames() {
		if m.Files[name] == "" {
			continue
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = addFile(t, name, info.Size(), m.At, f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func addFile(t *tar.Writer, name string, size int64, at time.Time, from io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(t, from)
	return err
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// unpack reads a backup into an empty folder. What is not exactly a backup is
// refused: another name, a link, a file that is not as the manifest says.
func unpack(from io.Reader, dir string) (m manifest, err error) {
	z, err := gzip.NewReader(from)
	if err != nil {
		return m, err
	}
	t := tar.NewReader(z)
	head, err := t.Next()
	if err != nil {
		return m, err
	}
	if head.Name != manifestName || head.Typeflag != tar.TypeReg || head.Size > 1<<20 {
		return m, fmt.Errorf("%s stands first, not %s", head.Name, manifestName)
	}
	if err := json.NewDecoder(t).Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	if m.Form != backupForm {
		return m, fmt.Errorf("form %d, and this masu knows %d", m.Form, backupForm)
	}
	got := map[string]bool{}
	for {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, err
		}
		if err := unpackOne(t, head, m, got, dir); err != nil {
			return m, err
		}
	}
	if len(got) != len(m.Files) || !got["masu.db"] {
		return m, errors.New("files are missing")
	}
	return m, nil
}

func unpackOne(t *tar.Reader, head *tar.Header, m manifest, got map[string]bool, dir string) error {
	known := false
	for _, name := range backupNames() {
		known = known || head.Name == name
	}
	if !known || head.Typeflag != tar.TypeReg || got[head.Name] || head.Size > backupMost {
		return fmt.Errorf("%q does not belong into a backup", head.Name)
	}
	got[head.Name] = true
	f, err := os.OpenFile(filepath.Join(dir, head.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(t, backupMost))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != m.Files[head.Name] {
		return fmt.Errorf("%s is not as it was written", head.Name)
	}
	return nil
}
