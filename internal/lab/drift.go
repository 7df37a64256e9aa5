package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"testing/fstest"
	"time"

	"github.com/masu-lab/masu"
)

const (
	addedMost   = 200     // packages of each kind; more is no list that a person reads
	addedAnswer = 1 << 20 // bytes
	addedWithin = 10 * time.Second
)

// Added asks the agent in the box. What a box says is its member's word, and is checked as such.
func (s *service) Added(ctx context.Context, name string) (l masu.Layer, err error) {
	w, err := s.find(ctx, name)
	if err == nil {
		err = runs(w)
	}
	if err == nil {
		err = hasAgent(w)
	}
	if err != nil {
		return l, err
	}
	ctx, cancel := context.WithTimeout(ctx, addedWithin)
	defer cancel()
	var out capped
	code, err := s.l.cfg.Runtime.Exec(ctx, w.ID, masu.Exec{Argv: []string{masu.AgentPath, "agent", "added"}, Stdout: &out, Stderr: &capped{}})
	if err == nil && code != 0 {
		err = fmt.Errorf("the agent ended with %d", code)
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &l)
	}
	if err == nil {
		err = named(l)
	}
	if err != nil {
		return masu.Layer{}, masu.E(masu.Unreachable, "added_unknown", w.Name).Because(err)
	}
	return l, nil
}

// capped keeps as much as an honest answer needs.
type capped struct{ bytes.Buffer }

func (c *capped) Write(b []byte) (int, error) {
	if c.Len()+len(b) > addedAnswer {
		return 0, errors.New("too long an answer")
	}
	return c.Buffer.Write(b)
}

var (
	aptName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,99}$`)
	pipPin  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(==[A-Za-z0-9][A-Za-z0-9.!+_-]{0,60})?$`)
)

// named refuses what is no list of packages.
func named(l masu.Layer) error {
	if len(l.Apt) > addedMost || len(l.Pip) > addedMost {
		return errors.New("too many packages")
	}
	for _, n := range l.Apt {
		if !aptName.MatchString(n) {
			return fmt.Errorf("%q is no package", n)
		}
	}
	for _, n := range l.Pip {
		if !pipPin.MatchString(n) {
			return fmt.Errorf("%q is no package", n)
		}
	}
	return nil
}

// Keep writes packages into the file that speaks for the workspace's folder.
func (s *service) Keep(ctx context.Context, name string, l masu.Layer) (err error) {
	w, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "keep", w.Label, err) }()
	if w.Owner != s.actor.Name {
		return masu.E(masu.Denied, "not_owner", w.Name)
	}
	if err := hasAgent(w); err != nil {
		return err
	}
	if err := named(l); err != nil || len(l.Apt)+len(l.Pip) == 0 {
		return masu.E(masu.Invalid, "keep_nothing").Because(err)
	}
	dir := w.Project.Dir
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return err
	}
	defer f.Close()
	files, err := s.l.cfg.Keep(f, w.Project.Environment.Preset, l)
	if err != nil {
		return err
	}
	return s.writeFiles(dir, files)
}

// writeFiles puts files into a member's folder, if it is right with them.
func (s *service) writeFiles(dir string, files []masu.File) error {
	over := fstest.MapFS{}
	for _, f := range files {
		over[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: 0o644}
	}
	if _, err := s.readIn(dir, "", func(f masu.Folder) masu.Folder { return overlay{f, over} }); err != nil {
		return err
	}
	for _, f := range files {
		if err := s.l.cfg.Folders.WriteFile(s.actor.User, dir, f.Path, []byte(f.Text)); err != nil {
			return err
		}
	}
	return nil
}
