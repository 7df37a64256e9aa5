// Package project reads a member's folder and says which environment it asks
// for. It only reads, and only through masu.Folder; it never runs anything, and
// what it returns has been checked: package names are names, images are image
// references, and no line can become an instruction or an option.
//
// The first of these files speaks for the folder: masu.yaml, Dockerfile,
// .devcontainer/devcontainer.json (or .devcontainer.json), requirements.txt
// and apt.txt together. A folder with none of them asks for nothing.
package project

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/masu-lab/masu"
)

// maxText bounds every file that is read as text; no honest one comes near.
const maxText = 256 * masu.KiB

// source is one way for a folder to say what it asks for. Its read reports false if the folder does not use it.
type source struct {
	files []string
	read  func(masu.Folder, *masu.Project) (bool, error)
}

func sources() []source {
	return []source{
		{[]string{"masu.yaml"}, readMasuYAML},
		{[]string{"Dockerfile"}, readDockerfile},
		{devcontainers(), readDevcontainer},
		{[]string{"requirements.txt", "apt.txt"}, readLists},
	}
}

// Presets names the environments that masu brings along.
func Presets() []string { return []string{"pytorch", "tensorflow", "python"} }

// Read says what folder asks for. The preset is taken where the folder names
// neither a preset, nor a base image, nor a Dockerfile; it may be "", which
// leaves the choice to the lab. Whatever is wrong in a member's file is
// Invalid, with FILE:LINE:COLUMN as the first argument.
func Read(folder masu.Folder, preset string) (masu.Project, error) {
	if preset != "" && !slices.Contains(Presets(), preset) {
		return masu.Project{}, masu.E(masu.Invalid, "unknown_preset", show(preset), strings.Join(Presets(), ", "))
	}
	if yes, err := exists(folder, "masu.yml"); err != nil || yes {
		return masu.Project{}, cmp.Or[error](err, masu.E(masu.Invalid, "masu_yml"))
	}
	r := &recorder{folder, map[string]bool{}}
	p := masu.Project{Dir: folder.Dir()}
	for _, s := range sources() {
		found, err := s.read(r, &p)
		if err != nil {
			return masu.Project{}, err
		}
		if found {
			break
		}
	}
	if e := &p.Environment; e.Preset == "" && e.Base == "" && e.Dockerfile == "" {
		e.Preset = preset
	}
	if p.Name == "" {
		p.Name = NameFor(p.Dir)
	}
	r.noteUnread(&p)
	r.noteCompose(&p)
	return p, nil
}

// recorder remembers which files of a folder were opened.
type recorder struct {
	masu.Folder
	opened map[string]bool
}

// Open opens a file and remembers it.
func (r *recorder) Open(name string) (fs.File, error) {
	r.opened[name] = true
	return r.Folder.Open(name)
}

// noteUnread tells the member which files masu left alone because another one speaks for the folder.
func (r *recorder) noteUnread(p *masu.Project) {
	var unread []string
	for _, s := range sources() {
		for _, f := range s.files {
			// An error means that it is unreadable, which does not matter here.
			if yes, err := exists(r, f); err == nil && yes && !r.opened[f] {
				unread = append(unread, f)
			}
		}
	}
	if len(unread) > 0 {
		p.Notes = append(p.Notes, note("files_not_read", p.Source, strings.Join(unread, ", ")))
	}
}

// noteCompose tells of a compose file, which is only read when it is asked for.
func (r *recorder) noteCompose(p *masu.Project) {
	for _, f := range ComposeFiles() {
		if yes, err := exists(r, f); p.Source != "masu.yaml" && err == nil && yes {
			p.Notes = append(p.Notes, note("compose_there", f))
			return
		}
	}
}

func readDockerfile(folder masu.Folder, p *masu.Project) (bool, error) {
	if yes, err := exists(folder, "Dockerfile"); err != nil || !yes {
		return false, err
	}
	p.Source = "Dockerfile"
	return true, setDockerfile(folder, p, "Dockerfile", ".")
}

func readLists(folder masu.Folder, p *masu.Project) (bool, error) {
	pip, err := exists(folder, "requirements.txt")
	if err != nil {
		return false, err
	}
	apt, err := exists(folder, "apt.txt")
	if err != nil {
		return false, err
	}
	var files []string
	if pip {
		files = append(files, "requirements.txt")
		if p.Environment.Pip, err = requirements(folder, "requirements.txt"); err != nil {
			return false, err
		}
	}
	if apt {
		files = append(files, "apt.txt")
		if p.Environment.Apt, err = aptList(folder, "apt.txt"); err != nil {
			return false, err
		}
	}
	p.Source = strings.Join(files, ", ")
	return len(files) > 0, nil
}

// exists tells whether name is a file of the folder. Something else under that
// name is an error: a FIFO would keep its reader waiting for ever.
func exists(folder masu.Folder, name string) (bool, error) {
	info, err := folder.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, unreadable(name, err)
	case !info.Mode().IsRegular():
		return false, masu.E(masu.Invalid, "file_not_regular", name)
	}
	return true, nil
}

// readText reads a small text file in UTF-8.
func readText(folder masu.Folder, name string) (string, error) {
	if yes, err := exists(folder, name); err != nil || !yes {
		return "", cmp.Or[error](err, masu.E(masu.Invalid, "file_missing", name))
	}
	f, err := folder.Open(name)
	if err != nil {
		return "", unreadable(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(maxText)+1))
	if err != nil {
		return "", unreadable(name, err)
	}
	switch {
	case masu.Bytes(len(b)) > maxText:
		return "", masu.E(masu.Invalid, "file_too_big", name, maxText)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{0xfe, 0xff}),
		bytes.HasPrefix(b, []byte("\ufeff")), bytes.IndexByte(b, 0) >= 0, !utf8.Valid(b):
		return "", masu.E(masu.Invalid, "file_not_utf8", name)
	}
	return string(b), nil
}

// unreadable keeps what the folder itself has to say to people, and gives the rest a sentence.
func unreadable(name string, err error) error {
	if e, ok := errors.AsType[*masu.Error](err); ok {
		return e
	}
	return masu.E(masu.Invalid, "file_unreadable", name).Because(err)
}

func note(code string, args ...string) masu.Note { return masu.Note{Code: code, Args: args} }

// NameFor makes a workspace's name from the name of its folder: what is no
// lower-case letter or digit becomes a hyphen, and nothing left (a Japanese
// name) becomes "work". The result is always valid, but not always unique.
func NameFor(dir string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(filepath.Base(dir)) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	switch {
	case name == "":
		return "work"
	case name[0] >= '0' && name[0] <= '9':
		name = "work-" + name
	}
	return strings.TrimRight(name[:min(len(name), 30)], "-")
}
