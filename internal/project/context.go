package project

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/masu-lab/masu"
)

// Bounds of a build context: far above honest projects, far below what hurts the host.
const (
	maxContext = 8 * masu.GiB
	maxFiles   = 100_000
	bigContext = 512 * masu.MiB // worth a note
)

// secret lists what a build context leaves out unless .dockerignore brings it
// back with "!": keys and passwords do not belong in images, and .git only
// makes every commit a new image.
func secret() []string {
	return []string{"**/.git", "**/.ssh", "**/.gnupg", "**/.aws", "**/.netrc", "**/.env", "**/*.pem", "**/id_rsa*", "**/id_ed25519*"}
}

// Context gives the files that a build of dockerfile may see, and their size in
// bytes. Both paths are inside the folder; the Dockerfile must be inside the
// context. Links and special files are left out. Each file of the result is
// checked while it is read: one that has changed since is Conflict
// "context_changed", so what is built is what Environment.Digest says. The
// result has a method Digest() string for comparing.
func Context(folder masu.Folder, dockerfile, context string) (fs.FS, int64, error) {
	t, err := newTree(folder, dockerfile, context)
	if err != nil {
		return nil, 0, err
	}
	return t, t.size, nil
}

// setDockerfile makes the project's environment that of a Dockerfile.
func setDockerfile(folder masu.Folder, p *masu.Project, dockerfile, context string) error {
	if yes, err := exists(folder, dockerfile); err != nil {
		return err
	} else if !yes {
		return masu.E(masu.Invalid, "file_missing", dockerfile)
	}
	t, err := newTree(folder, dockerfile, context)
	if err != nil {
		return err
	}
	p.Environment.Dockerfile, p.Environment.Context, p.Environment.Digest = dockerfile, context, t.Digest()
	if masu.Bytes(t.size) >= bigContext {
		p.Notes = append(p.Notes, note("context_big", masu.Bytes(t.size).String(), fmt.Sprint(len(t.files))))
	}
	if len(t.links) > 0 {
		p.Notes = append(p.Notes, note("context_links", fmt.Sprint(len(t.links)), t.links[0]))
	}
	if len(t.secrets) > 0 {
		p.Notes = append(p.Notes, note("context_secrets", strings.Join(t.secrets[:min(5, len(t.secrets))], ", ")))
	}
	return nil
}

// tree is a build context: the files of a folder that were there, and not ignored, when it was made.
type tree struct {
	folder  masu.Folder
	root    string
	ignore  *patternmatcher.PatternMatcher
	keep    map[string]bool
	dirs    map[string][]fs.DirEntry // directory → what is in it
	files   map[string]leaf
	links   []string
	secrets []string
	size    int64
	visited int
}

func newTree(folder masu.Folder, dockerfile, context string) (*tree, error) {
	inner, ok := within(context, dockerfile)
	if !ok {
		return nil, masu.E(masu.Invalid, "dockerfile_outside", dockerfile, context)
	}
	t := &tree{folder: folder, root: context, dirs: map[string][]fs.DirEntry{}, files: map[string]leaf{}}
	ignoring, patterns := "", secret()
	for _, name := range []string{inner + ".dockerignore", ".dockerignore"} {
		own, err := t.patterns(name)
		if err != nil {
			return nil, err
		}
		if own != nil {
			ignoring, patterns = name, append(patterns, own...)
			break
		}
	}
	t.keep = map[string]bool{inner: true, ignoring: true}
	var err error
	if t.ignore, err = patternmatcher.New(patterns); err != nil {
		return nil, masu.E(masu.Invalid, "dockerignore_wrong", path.Join(context, ignoring)).Because(err)
	}
	return t, t.walk(".", patternmatcher.MatchInfo{})
}

// within gives name as seen from dir.
func within(dir, name string) (string, bool) {
	if dir == "." {
		return name, true
	}
	return strings.CutPrefix(name, dir+"/")
}

// patterns reads a .dockerignore; nil if there is none.
func (t *tree) patterns(name string) ([]string, error) {
	name = path.Join(t.root, name)
	if yes, err := exists(t.folder, name); err != nil || !yes {
		return nil, err
	}
	text, err := readText(t.folder, name)
	if err != nil {
		return nil, err
	}
	own, err := ignorefile.ReadAll(strings.NewReader(text))
	if err != nil {
		return nil, masu.E(masu.Invalid, "dockerignore_wrong", name).Because(err)
	}
	return append([]string{}, own...), nil
}

// walk collects the files below dir, which is not ignored or may hold something that is not.
func (t *tree) walk(dir string, above patternmatcher.MatchInfo) error {
	list, err := t.folder.ReadDir(path.Join(t.root, dir))
	if err != nil {
		return unreadable(path.Join(t.root, dir), err)
	}
	for _, e := range list {
		if t.visited++; t.visited > maxFiles {
			return masu.E(masu.Invalid, "context_many", maxFiles)
		}
		name := path.Join(dir, e.Name())
		ignored, info, err := t.ignore.MatchesUsingParentResults(name, above)
		if err != nil {
			return masu.E(masu.Invalid, "dockerignore_wrong", name).Because(err)
		}
		if t.keep[name] {
			ignored = false
		}
		if err := t.entry(dir, name, e, ignored, info); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) entry(dir, name string, e fs.DirEntry, ignored bool, info patternmatcher.MatchInfo) error {
	if ignored && t.isSecret(name) {
		t.secrets = append(t.secrets, name)
	}
	switch {
	case e.IsDir():
		if ignored && !t.mayHold(name) {
			return nil
		}
		if err := t.walk(name, info); err != nil {
			return err
		}
		if ignored && len(t.dirs[name]) == 0 {
			return nil
		}
	case ignored:
		return nil
	case e.Type()&fs.ModeSymlink != 0:
		t.links = append(t.links, name)
		return nil
	case !e.Type().IsRegular():
		return nil
	default:
		if err := t.add(name); err != nil {
			return err
		}
		e = fs.FileInfoToDirEntry(t.files[name])
	}
	t.dirs[dir] = append(t.dirs[dir], e)
	return nil
}

func (t *tree) isSecret(name string) bool {
	if path.Base(name) == ".git" {
		return false // everybody has one, and hardly anybody wants it in an image
	}
	ours, err := patternmatcher.MatchesOrParentMatches(name, secret())
	return err == nil && ours
}

// mayHold tells whether an ignored directory must be entered all the same: a
// "!" pattern may bring something in it back, or the Dockerfile is there.
func (t *tree) mayHold(dir string) bool {
	for k := range t.keep {
		if strings.HasPrefix(k, dir+"/") {
			return true
		}
	}
	return slices.ContainsFunc(t.ignore.Patterns(), func(p *patternmatcher.Pattern) bool {
		return p.Exclusion() && reaches(strings.Split(p.String(), "/"), strings.Split(dir, "/"))
	})
}

// reaches tells whether a pattern can match something below dir.
func reaches(pattern, dir []string) bool {
	for i, d := range dir {
		if i >= len(pattern) {
			return false
		}
		if pattern[i] == "**" {
			return true
		}
		if ok, err := path.Match(pattern[i], d); err != nil || !ok {
			return false
		}
	}
	return len(pattern) > len(dir)
}

// add reads a file once, for its digest.
func (t *tree) add(name string) error {
	f, err := t.folder.Open(path.Join(t.root, name))
	if err != nil {
		return unreadable(path.Join(t.root, name), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unreadable(name, err)
	}
	if t.size += info.Size(); masu.Bytes(t.size) > maxContext {
		return masu.E(masu.Invalid, "context_too_big", maxContext)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, info.Size()))
	if err != nil {
		return unreadable(name, err)
	}
	t.files[name] = leaf{name: path.Base(name), mode: info.Mode().Perm(), size: n, time: info.ModTime(), sum: [sha256.Size]byte(h.Sum(nil))}
	return nil
}
