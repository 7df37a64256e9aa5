package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// PutApp writes an app down and starts it.
func (s *service) PutApp(ctx context.Context, name string, a masu.AppWish) (err error) {
	w, err := s.program(ctx, name, "app put", a.Name)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "app put", w.Label, err) }()
	if _, known := masu.AppPort(a.Name); !known && strings.TrimSpace(a.Command) == "" {
		return masu.E(masu.Invalid, "app_needs", a.Name, "command")
	}
	if a.Command != "" && a.Port == 0 {
		return masu.E(masu.Invalid, "app_needs", a.Name, "port")
	}
	if err := s.setApps(ctx, &w, func(have []masu.AppWish) ([]masu.AppWish, error) {
		i := slices.IndexFunc(have, func(b masu.AppWish) bool { return b.Name == a.Name })
		if i < 0 {
			return append(have, a), nil
		}
		have[i] = a
		return have, nil
	}); err != nil || w.Phase != masu.Running {
		return err
	}
	if a.Name == editorApp { // it is mounted when the box begins
		return masu.E(masu.Conflict, "app_restart", a.Name, w.Name)
	}
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.l.tellApps(ctx, w.ID, http.MethodPut, a.Name, "", bytes.NewReader(b))
}

// DropApp takes an app out and ends it.
func (s *service) DropApp(ctx context.Context, name, app string) (err error) {
	w, err := s.program(ctx, name, "app drop", app)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "app drop", w.Label, err) }()
	if err := s.setApps(ctx, &w, func(have []masu.AppWish) ([]masu.AppWish, error) {
		left := slices.DeleteFunc(have, func(b masu.AppWish) bool { return b.Name == app })
		switch {
		case app == "jupyter" || len(left) == 0:
			return nil, masu.E(masu.Invalid, "app_always", app)
		case len(left) == len(have) && !slices.ContainsFunc(w.Apps, func(b masu.App) bool { return b.Name == app }):
			return nil, masu.E(masu.NotFound, "no_app", app)
		}
		return left, nil
	}); err != nil || w.Phase != masu.Running {
		return err
	}
	return s.l.tellApps(ctx, w.ID, http.MethodDelete, app, "", nil)
}

// StartApp starts an app that rests, and waits until it answers.
func (s *service) StartApp(ctx context.Context, name, app string) error {
	return s.turn(ctx, name, app, "/start")
}

// StopApp has an app rest.
func (s *service) StopApp(ctx context.Context, name, app string) error {
	if app == "jupyter" {
		return masu.E(masu.Invalid, "app_always", app)
	}
	return s.turn(ctx, name, app, "/stop")
}

func (s *service) turn(ctx context.Context, name, app, what string) (err error) {
	w, err := s.program(ctx, name, "app"+strings.ReplaceAll(what, "/", " "), app)
	if err == nil {
		err = runs(w)
	}
	if err == nil {
		if _, has := w.App(app); !has {
			err = masu.E(masu.NotFound, "no_app", app)
		}
	}
	if err != nil {
		return err
	}
	s.l.used(ctx, w)
	if err := s.l.tellApps(ctx, w.ID, http.MethodPost, app, what, nil); err != nil {
		return err
	}
	// Whoever opens the app next must find what it is now: one that has just been stopped is woken.
	if err := s.l.listen(ctx, w.ID, func(now masu.AgentStatus) bool {
		s.l.heard(ctx, w.ID, now)
		return false
	}); err != nil {
		s.l.log.Debug("agent", "workspace", w.Label, "error", err) // who follows the box hears it too
	}
	return nil
}

// AppLog copies what an app has printed lately.
func (s *service) AppLog(ctx context.Context, name, app string, to io.Writer, follow bool) error {
	w, err := s.program(ctx, name, "", app)
	if err == nil {
		err = runs(w)
	}
	if err != nil {
		return err
	}
	query := "/log"
	if follow {
		query += "?follow=1"
	}
	answer, err := s.l.askApps(ctx, w.ID, http.MethodGet, app, query, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(to, answer)
	if follow && ctx.Err() != nil {
		return nil // the end that was asked for
	}
	return err
}

// program finds a workspace whose apps are the actor's to change.
func (s *service) program(ctx context.Context, name, verb, app string) (masu.Workspace, error) {
	w, err := s.find(ctx, name)
	if err == nil && w.Owner != s.actor.Name {
		err = masu.E(masu.Denied, "not_owner", w.Name)
		if verb != "" {
			s.l.record(ctx, s.actor, verb, w.Label, err)
		}
	}
	if err == nil {
		err = hasAgent(w)
	}
	if err == nil && !masu.ValidAppName(app) {
		err = masu.E(masu.NotFound, "no_app", app)
	}
	return w, err
}

// setApps changes the apps in the folder's file, and in the workspace, whose box need not begin anew for it.
func (s *service) setApps(ctx context.Context, w *masu.Workspace, change func([]masu.AppWish) ([]masu.AppWish, error)) error {
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, w.Project.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := s.l.cfg.Read(f, w.Project.Environment.Preset)
	if err != nil {
		return err
	}
	have := slices.Clone(p.Apps)
	if len(have) == 0 {
		have = masu.NamedApps("jupyter")
	}
	apps, err := change(have)
	if err != nil {
		return err
	}
	files, err := s.l.cfg.SetApps(f, w.Project.Environment.Preset, apps)
	if err != nil {
		return err
	}
	if err := s.writeFiles(w.Project.Dir, files); err != nil {
		return err
	}
	var lost []masu.AppShare
	*w, err = s.l.update(ctx, w.ID, func(w *masu.Workspace) {
		w.Project.Apps = apps
		lost = w.KeepShares()
	})
	if err != nil {
		return err
	}
	return s.dropped(ctx, *w, lost)
}

// tellApps has the agent of a box do something about an app.
func (l *Lab) tellApps(ctx context.Context, id masu.WorkspaceID, method, app, what string, body io.Reader) error {
	answer, err := l.askApps(ctx, id, method, app, what, body)
	if err == nil {
		err = answer.Close()
	}
	return err
}

// mostWords is how much of an agent's refusal is kept.
const mostWords = 4 << 10

// askApps asks the agent of a box about an app. What it refuses is Unreachable "app_not_ready", with its words.
func (l *Lab) askApps(ctx context.Context, id masu.WorkspaceID, method, app, what string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1/v1/apps/"+url.PathEscape(app)+what, body)
	if err != nil {
		return nil, err
	}
	resp, err := l.agent(id).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	words, _ := io.ReadAll(io.LimitReader(resp.Body, mostWords))
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, masu.E(masu.NotFound, "no_app", app)
	}
	text := strings.TrimSpace(string(words))
	return nil, masu.E(masu.Unreachable, "app_not_ready", app, text).Because(errors.New("the agent says " + resp.Status))
}

// wakeApp starts an app that rests, for somebody who opens it.
func (l *Lab) wakeApp(ctx context.Context, w masu.Workspace, port int) error {
	i := slices.IndexFunc(w.Apps, func(a masu.App) bool { return a.Port == port && a.Rests })
	if i < 0 {
		return nil
	}
	return l.tellApps(ctx, w.ID, http.MethodPost, w.Apps[i].Name, "/start", nil)
}
