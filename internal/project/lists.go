package project

import (
	"fmt"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// maxPackages bounds each list of packages.
const maxPackages = 1000

// place is a spot in a member's file, written FILE:LINE:COLUMN.
type place struct {
	file      string
	line, col int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col) }

// entries yields the lines of a list that are neither blank nor a comment.
func entries(file, text string) iter.Seq2[place, string] {
	return func(yield func(place, string) bool) {
		n := 0
		for line := range strings.SplitSeq(text, "\n") {
			n++
			line = strings.TrimSuffix(line, "\r")
			body := line
			if i := comment.FindStringIndex(line); i != nil {
				body = line[:i[0]]
			}
			col := len(body) - len(strings.TrimLeft(body, " \t")) + 1
			if body = strings.Trim(body, " \t"); body != "" && !yield(place{file, n, col}, body) {
				return
			}
		}
	}
}

var (
	comment = regexp.MustCompile(`(^|[ \t])#.*$`)
	include = regexp.MustCompile(`^(?:-r *|--requirement[ =] *)(.+)$`)
)

// aptList reads apt.txt: one package a line.
func aptList(folder masu.Folder, name string) ([]string, error) {
	text, err := readText(folder, name)
	if err != nil {
		return nil, err
	}
	var out []string
	for at, line := range entries(name, text) {
		if out, err = addApt(out, at, line); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func addApt(list []string, at place, name string) ([]string, error) {
	if !validApt(name) {
		return nil, masu.E(masu.Invalid, "apt_name", at, show(name))
	}
	return addOnce(list, at, name)
}

func addOnce(list []string, at place, s string) ([]string, error) {
	if slices.Contains(list, s) {
		return list, nil
	}
	if len(list) == maxPackages {
		return nil, masu.E(masu.Invalid, "list_too_long", at, maxPackages)
	}
	return append(list, s), nil
}

// requirements reads a requirements file and those that it includes.
func requirements(folder masu.Folder, name string) ([]string, error) {
	r := reqs{folder: folder}
	err := r.file(place{name, 1, 1}, name)
	return r.lines, err
}

// reqs collects requirement lines; open are the files that are being read, outermost first.
type reqs struct {
	folder masu.Folder
	lines  []string
	open   []string
}

func (r *reqs) file(at place, name string) error {
	if len(r.open) == 5 || slices.Contains(r.open, name) {
		return masu.E(masu.Invalid, "pip_include_deep", at, show(name))
	}
	text, err := readText(r.folder, name)
	if err != nil {
		return err
	}
	r.open = append(r.open, name)
	for at, line := range entries(name, text) {
		if m := include.FindStringSubmatch(line); m != nil {
			inner, err := inside(at, path.Join(path.Dir(name), m[1]), m[1])
			if err != nil {
				return err
			}
			if err := r.file(at, inner); err != nil {
				return err
			}
			continue
		}
		if strings.HasSuffix(line, `\`) {
			return masu.E(masu.Invalid, "pip_continued", at)
		}
		if err := r.line(at, line); err != nil {
			return err
		}
	}
	r.open = r.open[:len(r.open)-1]
	return nil
}

func (r *reqs) line(at place, line string) error {
	checked, err := requirement(at, line)
	if err != nil {
		return err
	}
	r.lines, err = addOnce(r.lines, at, checked)
	return err
}

// inside gives a path of the folder in its clean form, and refuses one that
// leads out of it. Clean is the path as seen from the folder, written is what the member wrote.
func inside(at place, clean, written string) (string, error) {
	clean = path.Clean(clean)
	if strings.HasPrefix(written, "/") || strings.HasPrefix(written, "~") || clean == ".." || strings.HasPrefix(clean, "../") ||
		strings.ContainsAny(written, "\\$") || !plain(written) {
		return "", masu.E(masu.Invalid, "path_outside", at, show(written))
	}
	return clean, nil
}
