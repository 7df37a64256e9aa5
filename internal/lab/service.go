package lab

import (
	"context"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// stopGrace is what the apps of a box get to save their work.
const stopGrace = 10 * time.Second

// service is what one actor may do.
type service struct {
	l     *Lab
	actor masu.Actor
}

var _ masu.Service = (*service)(nil)

// As gives the service of one actor.
func (l *Lab) As(a masu.Actor) masu.Service { return &service{l: l, actor: a} }

// Whoami tells the actor and the daemon.
func (s *service) Whoami(ctx context.Context) (masu.Hello, error) {
	h := masu.Hello{Actor: s.actor, Version: s.l.cfg.Version, Lab: s.l.id, Host: s.l.cfg.Host(ctx), HostName: s.l.cfg.HostName,
		Pages: s.l.cfg.Origins.Pages(), Personal: s.l.cfg.Personal, SSH: s.l.cfg.SSH, Reach: s.l.reach(), Classes: s.classes()}
	h.Limits, _ = s.l.limits(s.actor.Name)
	var m masu.Member
	err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		if m, err = kept(tx, s.actor.Name); err == nil {
			h.House, err = tx.House()
		}
		return err
	})
	if err != nil {
		return masu.Hello{}, err
	}
	if h.Actor.User, err = admitted(s.actor.User, m); err != nil { // the language may have been chosen since the door was passed
		return masu.Hello{}, err
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.away != nil {
		h.Notes = append(h.Notes, masu.Note{Code: "engine_away"})
	}
	if s.actor.Admin {
		h.Notes = append(h.Notes, s.l.lowNotes()...)
	}
	return h, nil
}

// find resolves a name, OWNER/NAME or ID. What is not the actor's does not exist for them.
func (s *service) find(ctx context.Context, name string) (w masu.Workspace, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		if owner, rest, ok := strings.Cut(name, "/"); ok {
			w, err = tx.WorkspaceNamed(masu.Username(owner), rest)
		} else if w, err = tx.WorkspaceNamed(s.actor.Name, name); masu.KindOf(err) == masu.NotFound {
			w, err = tx.Workspace(masu.WorkspaceID(name))
		}
		return err
	})
	if masu.KindOf(err) == masu.NotFound && err != nil || err == nil && w.Owner != s.actor.Name && !s.actor.Admin {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	return w, err
}

// Workspace gives one.
func (s *service) Workspace(ctx context.Context, name string) (masu.Workspace, error) {
	w, err := s.shown(ctx, name)
	return s.l.placed(w), err
}

// Workspaces lists the actor's, or everybody's for an admin who asks.
func (s *service) Workspaces(ctx context.Context, all bool) (list []masu.Workspace, err error) {
	if all && !s.actor.Admin {
		return nil, masu.E(masu.Denied, "not_admin")
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		if all {
			list, err = tx.Workspaces()
			return err
		}
		if list, err = tx.WorkspacesOf(s.actor.Name); err != nil {
			return err
		}
		open, err := tx.WorkspacesOpenTo(s.actor.Name)
		for _, w := range open {
			if w, ok := s.l.shown(w, s.actor.Name); ok {
				list = append(list, w)
			}
		}
		return err
	})
	for i, w := range list {
		list[i] = s.l.placed(w)
	}
	return list, err
}

// Changes yields the actor's workspaces as they change.
func (s *service) Changes(ctx context.Context) iter.Seq2[masu.Workspace, error] {
	return func(yield func(masu.Workspace, error) bool) {
		r := s.l.hub.join(s.actor.Name)
		defer s.l.hub.leave(r)
		list, err := s.Workspaces(ctx, false)
		if err != nil {
			yield(masu.Workspace{}, err)
			return
		}
		for s.l.hub.begin(r, list); ; {
			for _, w := range list {
				if !yield(w, nil) {
					return
				}
			}
			select {
			case _, open := <-r.wake:
				if !open {
					return
				}
				list = s.l.hub.take(r)
			case <-ctx.Done():
				return
			}
		}
	}
}

// Watch replays and follows the operation on a workspace.
func (s *service) Watch(ctx context.Context, name string) iter.Seq2[masu.Progress, error] {
	return func(yield func(masu.Progress, error) bool) {
		w, err := s.visible(ctx, name)
		if err != nil {
			yield(masu.Progress{}, err)
			return
		}
		s.l.mu.Lock()
		j := s.l.journals[w.ID]
		s.l.mu.Unlock()
		if j == nil {
			return
		}
		for p, err := range j.read(ctx) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// Stop ends what happens to the workspace and its box, and keeps everything.
func (s *service) Stop(ctx context.Context, name string) (w masu.Workspace, err error) {
	if w, err = s.find(ctx, name); err != nil {
		return w, err
	}
	defer func() { s.l.record(ctx, s.actor, "stop", w.Label, err) }()
	op, err := s.l.takeOver(ctx, w.ID)
	if err != nil {
		return w, err
	}
	defer s.l.release(w.ID, op)
	if w, err = s.find(ctx, string(w.ID)); err != nil || w.Phase == masu.Stopped {
		return w, err
	}
	return s.l.halt(ctx, w.ID, nil)
}

// halt brings a workspace to stopped; why is nil when its owner wished it.
func (l *Lab) halt(ctx context.Context, id masu.WorkspaceID, why *masu.Trouble) (masu.Workspace, error) {
	if _, err := l.update(ctx, id, func(w *masu.Workspace) { w.Phase = masu.Stopping }); err != nil {
		return masu.Workspace{}, err
	}
	if err := l.cfg.Runtime.Stop(ctx, id, stopGrace); err != nil {
		return masu.Workspace{}, err
	}
	if err := l.endLease(ctx, id); err != nil {
		return masu.Workspace{}, err
	}
	return l.update(ctx, id, func(w *masu.Workspace) {
		w.GaveBack()
		w.Phase, w.Trouble = masu.Stopped, why
	})
}

// Remove forgets a workspace with its home.
func (s *service) Remove(ctx context.Context, name string) (err error) {
	w, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "rm", w.Label, err) }()
	if w.Adopted != nil {
		return masu.E(masu.Conflict, "adopted_stays", w.Name)
	}
	op, err := s.l.takeOver(ctx, w.ID)
	if err != nil {
		return err
	}
	defer s.l.release(w.ID, op)
	if err := s.l.cfg.Runtime.Remove(ctx, w.ID); err != nil {
		return err
	}
	if err := s.l.removeVolumes(ctx, w.ID); err != nil {
		return err
	}
	if err := s.l.endLease(ctx, w.ID); err != nil {
		return err
	}
	if err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.DeleteWorkspace(w.ID) }); err != nil {
		return err
	}
	s.l.mu.Lock()
	delete(s.l.journals, w.ID)
	delete(s.l.heardAt, w.ID)
	delete(s.l.diskAt, w.ID)
	delete(s.l.open, w.ID)
	s.l.mu.Unlock()
	s.l.hub.send(masu.Workspace{ID: w.ID, Owner: w.Owner, Name: w.Name, Label: w.Label})
	return nil
}

// Exec runs a command in a running workspace.
func (s *service) Exec(ctx context.Context, name string, e masu.Exec) (int, error) {
	w, err := s.find(ctx, name)
	if err == nil {
		err = runs(w)
	}
	if err == nil {
		err = hasAgent(w)
	}
	if err != nil {
		return 0, err
	}
	s.l.used(ctx, w)
	s.visits(ctx, w)
	return s.l.cfg.Runtime.Exec(ctx, w.ID, e)
}

// Logs copies what the box has printed.
func (s *service) Logs(ctx context.Context, name string, to io.Writer, follow bool) error {
	w, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	err = s.l.cfg.Runtime.Logs(ctx, w.ID, to, follow)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return masu.E(masu.Conflict, "never_started", w.Name).Because(err)
	}
	return err
}

// SideLogs copies what a side box has printed.
func (s *service) SideLogs(ctx context.Context, name, side string, to io.Writer, follow bool) error {
	w, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	return s.l.cfg.Runtime.SideLogs(ctx, w.ID, side, to, follow)
}

// Dial connects to a port of a running workspace.
func (s *service) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	w, err := s.shown(ctx, name)
	if err == nil && !s.mayDial(w, port) {
		err = masu.E(masu.Invalid, "bad_port", port)
	}
	if err == nil {
		err = runs(w)
	}
	if err != nil {
		return nil, err
	}
	s.l.used(ctx, w)
	if s.actor.Door != masu.DoorWeb { // EnterLink has written that down
		s.visits(ctx, w)
	}
	if err := s.l.wakeApp(ctx, w, port); err != nil {
		return nil, err
	}
	return s.l.cfg.Runtime.Dial(ctx, w.ID, port)
}

// mayDial tells whether a port of a workspace is the actor's to use: a guest's
// are those of its apps, and an adopted container has no others. With whom an
// app was shared comes by its page, and by no other door.
func (s *service) mayDial(w masu.Workspace, port int) bool {
	listed := func(apps []masu.App) bool {
		return slices.ContainsFunc(apps, func(a masu.App) bool { return a.Port == port })
	}
	switch {
	case w.Part:
		return s.actor.Door == masu.DoorWeb && listed(w.Apps)
	case w.Adopted != nil:
		return listed(w.Adopted.Apps)
	case w.Owner != s.actor.Name && !s.actor.Admin:
		return listed(w.Apps)
	}
	return port >= 1024 && port <= 65535
}

func runs(w masu.Workspace) error {
	if w.Phase != masu.Running {
		return masu.E(masu.Conflict, "not_running", w.Name)
	}
	return nil
}

// used notes that somebody does something there, at most once a minute.
func (l *Lab) used(ctx context.Context, w masu.Workspace) {
	l.stir(w.ID)
	if time.Since(w.UsedAt) < time.Minute {
		return
	}
	if _, err := l.update(ctx, w.ID, func(w *masu.Workspace) { w.UsedAt = time.Now() }); err != nil {
		l.log.Warn("note use", "workspace", w.Label, "error", err)
	}
}

// SetLang keeps the language that the actor chose.
func (s *service) SetLang(ctx context.Context, lang masu.Lang) error {
	if lang != masu.Japanese && lang != masu.English {
		return masu.E(masu.Invalid, "lang_unknown", lang)
	}
	return s.l.member(ctx, s.actor.Name, func(m *masu.Member) { m.Lang = lang })
}

// member changes what is kept about a login, which may be nothing yet.
func (l *Lab) member(ctx context.Context, name masu.Username, change func(*masu.Member)) error {
	return l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		m, err := tx.Member(name)
		if err != nil && masu.KindOf(err) != masu.NotFound {
			return err
		}
		m.Name = name
		change(&m)
		return tx.PutMember(m)
	})
}
