package masutest

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/masu-lab/masu"
)

// PutApp is masu.Programs'.
func (s *fakeActor) PutApp(_ context.Context, name string, a masu.AppWish) error {
	return s.program(name, a.Name, func(r *room) error {
		if _, known := masu.AppPort(a.Name); !known && a.Command == "" {
			return masu.E(masu.Invalid, "app_needs", a.Name, "command")
		}
		i := slices.IndexFunc(r.Project.Apps, func(b masu.AppWish) bool { return b.Name == a.Name })
		if i < 0 {
			r.Project.Apps = append(r.Project.Apps, a)
		} else {
			r.Project.Apps[i] = a
		}
		r.KeepShares()
		if r.Phase == masu.Running {
			r.Apps = append(slices.DeleteFunc(r.Apps, func(b masu.App) bool { return b.Name == a.Name }), fakeApp(a))
		}
		return nil
	})
}

// DropApp is masu.Programs'.
func (s *fakeActor) DropApp(_ context.Context, name, app string) error {
	return s.program(name, app, func(r *room) error {
		if app == "jupyter" {
			return masu.E(masu.Invalid, "app_always", app)
		}
		if !r.Project.HasApp(app) {
			return masu.E(masu.NotFound, "no_app", app)
		}
		r.Project.Apps = slices.DeleteFunc(r.Project.Apps, func(b masu.AppWish) bool { return b.Name == app })
		r.Apps = slices.DeleteFunc(r.Apps, func(b masu.App) bool { return b.Name == app })
		r.KeepShares()
		return nil
	})
}

// StartApp is masu.Programs'.
func (s *fakeActor) StartApp(_ context.Context, name, app string) error {
	return s.turn(name, app, func(a *masu.App) { a.Ready, a.Rests = true, false })
}

// StopApp is masu.Programs'.
func (s *fakeActor) StopApp(_ context.Context, name, app string) error {
	if app == "jupyter" {
		return masu.E(masu.Invalid, "app_always", app)
	}
	return s.turn(name, app, func(a *masu.App) { a.Ready, a.Rests = false, true })
}

// AppLog is masu.Programs'.
func (s *fakeActor) AppLog(_ context.Context, name, app string, w io.Writer, _ bool) error {
	return s.turn(name, app, func(*masu.App) { fmt.Fprintf(w, "%s has begun\n", app) })
}

func (s *fakeActor) turn(name, app string, change func(*masu.App)) error {
	return s.program(name, app, func(r *room) error {
		if r.Phase != masu.Running {
			return masu.E(masu.Conflict, "not_running", r.Name)
		}
		i := slices.IndexFunc(r.Apps, func(b masu.App) bool { return b.Name == app })
		if i < 0 {
			return masu.E(masu.NotFound, "no_app", app)
		}
		change(&r.Apps[i])
		return nil
	})
}

// program changes the apps of a workspace of the actor's own.
func (s *fakeActor) program(name, app string, change func(*room) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	switch {
	case err != nil:
		return err
	case r.Owner != s.actor.Name:
		return masu.E(masu.Denied, "not_owner", r.Name)
	case !masu.ValidAppName(app):
		return masu.E(masu.NotFound, "no_app", app)
	}
	return change(r)
}
