package agent

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/chown"
)

//go:embed files/jupyter_notebook_config.py
var jupyterConfig string

//go:embed files/set_passwd.sh
var setPasswd string

// home makes the member's home ready: its top folder is theirs, a new one gets
// what the image gives new users, and the guide's files are there. Nothing of
// the member's is changed. A home that is another's was handed over, and is given to the member.
func (i image) home(spec masu.AgentSpec) error {
	u := spec.User
	if err := i.takeOver(u); err != nil {
		return fmt.Errorf("home: %w", err)
	}
	fresh, err := i.ownFolder(u.Home, u)
	if err != nil {
		return fmt.Errorf("home: %w", err)
	}
	if _, err := i.ownFolder(spec.Work, u); err != nil {
		i.say(fmt.Errorf("project folder: %w", err))
	}
	runtimeDir := fmt.Sprintf("/run/user/%d", u.UID)
	if _, err := i.ownFolder(runtimeDir, u); err == nil {
		err = os.Chmod(i.at(runtimeDir), 0o700)
	} else {
		i.say(err)
	}
	return asMember(u, func() error {
		if fresh {
			i.report(copyNew(i.at("/etc/skel"), i.at(u.Home)))
		}
		return i.guideFiles(spec)
	})
}

// takeOver gives the member a home that belongs to somebody else: the one who
// had the workspace before, or the member when they had another number. What is
// mounted inside it is nobody's to give here.
func (i image) takeOver(u masu.User) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return nil
	}
	fd, err := unix.Open(i.at(u.Home), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // there is none yet, or what is there is refused in its own words
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Uid == 0 || int(st.Uid) == u.UID {
		return err
	}
	return chown.Tree(fd, chown.Owner{UID: int(st.Uid), GID: int(st.Gid)}, chown.Owner{UID: u.UID, GID: u.GID})
}

// report tells what went wrong, if anything did.
func (i image) report(err error) {
	if err != nil {
		i.say(err)
	}
}

// ownFolder makes a folder the member's where it is missing or still root's,
// as a new volume is, and tells whether it was so. What is in it is left alone.
func (i image) ownFolder(path string, u masu.User) (fresh bool, err error) {
	path = i.at(path)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return false, err
		}
		return true, os.Lchown(path, u.UID, u.GID)
	}
	if err != nil {
		return false, err
	}
	if !fi.IsDir() {
		return false, fmt.Errorf("%s is not a folder", path)
	}
	if os.Geteuid() != 0 { // nobody can be given a folder here, but a new one is known by what it lacks
		_, err := os.Lstat(filepath.Join(path, homeRecord))
		return errors.Is(err, fs.ErrNotExist), nil
	}
	if owner := fi.Sys().(*syscall.Stat_t).Uid; owner != 0 || u.UID == 0 {
		return false, nil
	}
	return true, os.Lchown(path, u.UID, u.GID)
}

// copyNew copies a tree, but nothing over what is there.
func copyNew(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return nil // the image gives nothing
	}
	source := os.DirFS(from)
	return fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case d.IsDir():
			if err := os.Mkdir(target, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		case d.Type() == fs.ModeSymlink:
			link, err := os.Readlink(filepath.Join(from, name))
			if err != nil {
				return err
			}
			if err := os.Symlink(link, target); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		case d.Type().IsRegular():
			return copyFile(source, name, target)
		}
		return nil
	})
}

func copyFile(source fs.FS, name, target string) error {
	text, err := fs.ReadFile(source, name)
	if err != nil {
		return err
	}
	fi, err := fs.Stat(source, name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fi.Mode().Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// guideFiles writes what the guide's member finds in the home.
func (i image) guideFiles(spec masu.AgentSpec) error {
	home := i.at(spec.User.Home)
	k := keeper{home: home, record: filepath.Join(home, homeRecord)}
	k.load()
	for _, f := range []struct {
		path, text string
		mode       fs.FileMode
	}{
		{"scripts/set_passwd.sh", setPasswd, 0o755},
		{"scripts/jupyter_notebook_config.py", jupyterConfig, 0o644},
		{"scripts/README.md", wordsIn(spec.Lang).readme, 0o644},
		{".jupyter/jupyter_notebook_config.py", jupyterConfig, 0o644},
	} {
		if err := k.keep(f.path, f.text, f.mode); err != nil {
			i.say(fmt.Errorf("~/%s: %w", f.path, err))
		}
	}
	for path, settings := range i.editorSettings(spec) {
		if err := k.keepOwn(path, editorText(settings)); err != nil {
			i.say(fmt.Errorf("~/%s: %w", path, err))
		}
	}
	i.report(k.store())
	return nil
}

// homeRecord is where, in a home, masu remembers what it has written there.
const homeRecord = ".jupyter/.masu.json"

// keeper writes files into a home and remembers what it wrote, so that it can
// renew them later without touching what the member has edited.
type keeper struct {
	home, record string
	wrote        map[string]string // path to digest
}

func (k *keeper) load() {
	k.wrote = map[string]string{}
	if text, err := os.ReadFile(k.record); err == nil {
		_ = json.Unmarshal(text, &k.wrote) // a broken record means that nothing is known
	}
	if k.wrote == nil {
		k.wrote = map[string]string{}
	}
}

func (k *keeper) store() error {
	text, err := json.Marshal(k.wrote)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(k.record); err == nil && string(old) == string(text) {
		return nil
	}
	return os.WriteFile(k.record, text, 0o644)
}

// keep writes a file that is missing, that masu wrote and nobody has edited,
// or, the first time, that was there before masu came. What was there before
// is kept beside it as .old; what the member has edited since stays.
func (k *keeper) keep(path, text string, mode fs.FileMode) error {
	full, now := filepath.Join(k.home, path), sum(text)
	old, err := os.ReadFile(full)
	switch last, known := k.wrote[path]; {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	case sum(string(old)) == now:
		k.wrote[path] = now
		return nil
	case known && sum(string(old)) != last:
		return nil
	default:
		if err := os.Rename(full, full+".old"); err != nil {
			return err
		}
	}
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		return err
	}
	k.wrote[path] = now
	return nil
}

// keepOwn keeps a file that is masu's from its beginning: where there was one already, that stays.
func (k *keeper) keepOwn(path, text string) error {
	_, known := k.wrote[path]
	if _, err := os.Lstat(filepath.Join(k.home, path)); text == "" || err == nil && !known {
		return nil
	}
	return k.keep(path, text, 0o644)
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])[:16]
}
