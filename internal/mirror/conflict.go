package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// conflict keeps both: the nearer version under another name, or the one that is
// no folder. First it is renamed, so that nothing is at stake from then on.
func (r *round) conflict(ctx context.Context, p string, d *Done) error {
	at := Near
	if r.kept(Near, p).Kind == Folder {
		at = Far
	}
	d.Do, d.At = Settle, at
	r.note(p, nil)
	t := r.tree(at)
	if _, there := r.seen(at, p); there {
		name, err := r.aside(p, t)
		if err != nil {
			return err
		}
		if err := t.Move(p, name); err != nil {
			return err
		}
		d.As = name
		r.see(at, p, Entry{})
		e, err := t.Look(name)
		if err != nil {
			return err
		}
		r.see(at, name, e)
		if err := r.carry(ctx, name, at.other()); err != nil {
			return err
		}
	}
	switch r.kept(at.other(), p).Kind {
	case Folder:
		if err := t.MakeFolder(p, 0o755); err != nil {
			return err
		}
		r.note(p, &Record{Near: Entry{Kind: Folder}, Far: Entry{Kind: Folder}})
		return nil
	case None:
		return nil
	}
	return r.carry(ctx, p, at)
}

// aside finds a name for the other version: notes.conflict-HOST-20260102-150405.txt.
func (r *round) aside(p string, t Tree) (string, error) {
	dir, name := path.Split(p)
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if stem == "" { // .profile
		stem, ext = name, ""
	}
	mark := ".conflict-" + plainHost(r.Host) + "-" + r.Now().Format("20060102-150405")
	for i := range 100 {
		again := ""
		if i > 0 {
			again = fmt.Sprintf("-%d", i+1)
		}
		to := dir + shortened(stem, 255-len(mark)-len(again)-len(ext)) + mark + again + ext
		if _, err := t.Look(to); errors.Is(err, fs.ErrNotExist) {
			return to, nil
		}
	}
	return "", ErrMeanwhile
}

// shortened keeps a name within what file systems take.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:max(most, 1)], "")
}

// plainHost is a host's name as a part of a file's.
func plainHost(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, s)
	if s == "" {
		return "laptop"
	}
	return s[:min(len(s), 32)]
}
