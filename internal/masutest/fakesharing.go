package masutest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// sampleKey is where a sample is kept.
type sampleKey struct {
	id masu.WorkspaceID
	at int64
}

func (t *memoryTx) WorkspacesOpenTo(member masu.Username) ([]masu.Workspace, error) {
	return pick(t.workspaces, func(w masu.Workspace) bool {
		_, shown := w.ShownTo(member)
		return shown && w.Owner != member
	}, byOwnerAndName)
}

func (t *memoryTx) SharedEnvironment(id string) (masu.Shared, error) {
	return lookUp[masu.Shared](t.shared, id, masu.E(masu.NotFound, "no_shared", id))
}

func (t *memoryTx) SharedEnvironments() ([]masu.Shared, error) {
	return pick(t.shared, func(masu.Shared) bool { return true }, func(a, b masu.Shared) int { return b.At.Compare(a.At) })
}

func (t *memoryTx) PutShared(s masu.Shared) error { return keep(t, t.shared, s.ID, s) }

func (t *memoryTx) DeleteShared(id string) error { return drop(t, t.shared, id) }

// kept is a sample with what its JSON leaves out.
type kept struct {
	masu.Sample
	ID masu.WorkspaceID
}

func (t *memoryTx) PutSamples(list []masu.Sample, forget time.Time) error {
	for k := range t.samples {
		if k.at < forget.UnixMicro() {
			if err := drop(t, t.samples, k); err != nil {
				return err
			}
		}
	}
	for _, s := range list {
		if err := keep(t, t.samples, sampleKey{s.Workspace, s.At.UnixMicro()}, kept{s, s.Workspace}); err != nil {
			return err
		}
	}
	return nil
}

func (t *memoryTx) Samples(id masu.WorkspaceID, since time.Time) ([]masu.Sample, error) {
	found, err := pick(t.samples, func(k kept) bool { return k.ID == id && !k.At.Before(since) }, func(a, b kept) int { return a.At.Compare(b.At) })
	var list []masu.Sample
	for _, k := range found {
		k.Sample.Workspace = k.ID
		list = append(list, k.Sample)
	}
	return list, err
}

// open is called with the lock held; it is find, also for guests.
func (s *fakeActor) open(name string) (*room, error) {
	for _, r := range s.rooms {
		if r.Guest(s.actor.Name) && (name == string(r.ID) || name == string(r.Owner)+"/"+r.Name) {
			return r, nil
		}
	}
	return s.find(name)
}

func (s *fakeActor) Samples(_ context.Context, name string, _ time.Time) ([]masu.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.open(name)
	return nil, err
}

func (s *fakeActor) Admit(_ context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	switch {
	case err != nil:
		return masu.Workspace{}, err
	case r.Owner != s.actor.Name:
		return masu.Workspace{}, masu.E(masu.Denied, "not_owner", r.Name)
	case guest == r.Owner:
		return masu.Workspace{}, masu.E(masu.Conflict, "guest_is_owner", r.Name)
	case !s.mayAdmit():
		return masu.Workspace{}, masu.E(masu.Denied, "guests_forbidden")
	case strings.HasPrefix(string(guest), "nobody"):
		return masu.Workspace{}, masu.E(masu.NotFound, "no_member", guest)
	}
	r.Opened = true
	if !r.Guest(guest) {
		r.Guests = append(slices.Clone(r.Guests), guest)
		r.ChangedAt = time.Now()
	}
	s.changed()
	return r.Workspace, nil
}

func (s *fakeActor) Dismiss(_ context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.open(name)
	if err == nil && r.Owner != s.actor.Name && guest != s.actor.Name && !s.actor.Admin {
		err = masu.E(masu.NotFound, "no_workspace", name)
	}
	if err == nil && !r.Guest(guest) {
		err = masu.E(masu.NotFound, "no_guest", guest)
	}
	if err != nil {
		return masu.Workspace{}, err
	}
	r.Guests = slices.DeleteFunc(slices.Clone(r.Guests), func(u masu.Username) bool { return u == guest })
	s.changed()
	return r.Workspace, nil
}

func (s *fakeActor) use(x masu.Shared, env masu.Environment) masu.EnvironmentUse {
	use := masu.EnvironmentUse{Shared: x, Env: env, Key: env.Key()}
	for _, r := range s.rooms {
		if r.Project.Environment.Key() == use.Key && r.Owner == s.actor.Name {
			use.Workspaces = append(use.Workspaces, r.Name)
		}
		if r.Project.Environment.Key() == use.Key && !slices.Contains(use.Members, r.Owner) {
			use.Members = append(use.Members, r.Owner)
		}
	}
	return use
}

func (s *fakeActor) Environments(context.Context) (list []masu.EnvironmentUse, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.shared {
		if x.Lab || x.Owner == s.actor.Name {
			list = append(list, s.use(x, x.Env))
		}
	}
	for _, r := range s.mine(false) {
		if r.Owner == s.actor.Name && !slices.ContainsFunc(list, func(u masu.EnvironmentUse) bool { return u.Key == r.Project.Environment.Key() }) {
			list = append(list, s.use(masu.Shared{}, r.Project.Environment))
		}
	}
	return list, nil
}

func (s *fakeActor) Shared(_ context.Context, id string) (masu.EnvironmentUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.shared[id]
	if !ok {
		return masu.EnvironmentUse{}, masu.E(masu.NotFound, "no_shared", id)
	}
	return s.use(x, x.Env), nil
}

func (s *fakeActor) Share(_ context.Context, q masu.ShareWish) (masu.Shared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(q.Workspace)
	if err != nil {
		return masu.Shared{}, err
	}
	x := masu.Shared{ID: string(newID()), Owner: s.actor.Name, Title: q.Title, About: q.About, Lab: q.Lab, At: time.Now().UTC(), Text: "preset: python\n", Env: r.Project.Environment}
	if x.Title == "" {
		x.Title = r.Name
	}
	if strings.Contains(x.Title, "\n") {
		return masu.Shared{}, masu.E(masu.Invalid, "share_words", 60, 2000)
	}
	if s.shared == nil {
		s.shared = map[string]masu.Shared{}
	}
	s.shared[x.ID] = x
	return x, nil
}

// sharedByMe is called with the lock held.
func (s *fakeActor) sharedByMe(id string) (masu.Shared, error) {
	x, ok := s.shared[id]
	if !ok || x.Owner != s.actor.Name && !s.actor.Admin {
		return masu.Shared{}, masu.E(masu.NotFound, "no_shared", id)
	}
	return x, nil
}

func (s *fakeActor) ChangeShared(_ context.Context, id string, c masu.SharedChange) (masu.Shared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.sharedByMe(id)
	if err != nil {
		return x, err
	}
	if c.Title != nil {
		x.Title = *c.Title
	}
	if c.Lab != nil {
		x.Lab = *c.Lab
	}
	if c.Retired != nil {
		x.Retired = *c.Retired
	}
	s.shared[id] = x
	return x, nil
}

func (s *fakeActor) Unshare(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.sharedByMe(id); err != nil {
		return err
	}
	delete(s.shared, id)
	return nil
}

// Added knows of nothing: the fake's boxes have no packages.
func (s *fakeActor) Added(_ context.Context, name string) (masu.Layer, error) {
	if _, err := s.box(name, s.find); err != nil {
		return masu.Layer{}, err
	}
	return masu.Layer{}, masu.E(masu.Unreachable, "added_unknown", name)
}

// Keep writes a masu.yaml as the fake reads it.
func (s *fakeActor) Keep(_ context.Context, name string, l masu.Layer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	switch {
	case err != nil:
		return err
	case r.Owner != s.actor.Name:
		return masu.E(masu.Denied, "not_owner", r.Name)
	case len(l.Apt)+len(l.Pip) == 0 || strings.ContainsAny(strings.Join(l.Pip, ""), " \n"):
		return masu.E(masu.Invalid, "keep_nothing")
	}
	text := "preset: python\napt:\n  - " + strings.Join(l.Apt, "\n  - ") + "\n"
	return os.WriteFile(filepath.Join(r.Project.Dir, "masu.yaml"), []byte(text), 0o644)
}
