package lab

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	guestsMost = 50
	sharedMost = 100 // by one member
	aboutMost  = 2000
)

// visible resolves a name as find does, also for somebody to whom the workspace was opened.
func (s *service) visible(ctx context.Context, name string) (w masu.Workspace, err error) {
	if w, err = s.shown(ctx, name); err == nil && w.Part {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	return w, err
}

// shown is visible, also for somebody with whom an app was shared: they get what they may see of it.
func (s *service) shown(ctx context.Context, name string) (w masu.Workspace, err error) {
	if w, err = s.find(ctx, name); masu.CodeOf(err) != "no_workspace" {
		return w, err
	}
	missing := err
	open, err := s.openToMe(ctx)
	for _, w := range open {
		if name == string(w.ID) || name == string(w.Owner)+"/"+w.Name {
			if w, ok := s.l.shown(w, s.actor.Name); ok {
				return w, nil
			}
		}
	}
	return masu.Workspace{}, cmp.Or(err, missing)
}

func (s *service) openToMe(ctx context.Context) (list []masu.Workspace, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.WorkspacesOpenTo(s.actor.Name); return err })
	return list, err
}

// Admit opens a workspace to a colleague.
func (s *service) Admit(ctx context.Context, name string, guest masu.Username) (w masu.Workspace, err error) {
	if w, err = s.find(ctx, name); err != nil {
		return w, err
	}
	defer func() { s.l.record(ctx, s.actor, "admit", w.Label+" "+string(guest), err) }()
	switch {
	case w.Owner != s.actor.Name: // an admin may shut, but not give away what is another's
		return w, masu.E(masu.Denied, "not_owner", w.Name)
	case guest == w.Owner:
		return w, masu.E(masu.Conflict, "guest_is_owner", w.Name)
	case s.l.cfg.Personal || !s.l.policy().Guests:
		return w, masu.E(masu.Denied, "guests_forbidden")
	}
	if err := s.isMember(ctx, guest); err != nil {
		return w, err
	}
	full := false
	w, err = s.l.update(ctx, w.ID, func(w *masu.Workspace) {
		if full = !w.Guest(guest) && len(w.Guests) >= guestsMost; !full && !w.Guest(guest) {
			w.Opened = true
			w.Guests = append(w.Guests, guest)
			slices.Sort(w.Guests)
		}
	})
	if err == nil && full {
		err = masu.E(masu.Full, "guests_full", guestsMost)
	}
	return w, err
}

// Dismiss shuts a workspace to a guest, and ends what they have open there.
func (s *service) Dismiss(ctx context.Context, name string, guest masu.Username) (w masu.Workspace, err error) {
	if w, err = s.visible(ctx, name); err != nil {
		return w, err
	}
	if w.Owner != s.actor.Name && guest != s.actor.Name && !s.actor.Admin {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	if !w.Guest(guest) {
		return w, masu.E(masu.NotFound, "no_guest", guest)
	}
	defer func() { s.l.record(ctx, s.actor, "dismiss", w.Label+" "+string(guest), err) }()
	w, err = s.l.update(ctx, w.ID, func(w *masu.Workspace) {
		w.Guests = slices.DeleteFunc(slices.Clone(w.Guests), func(u masu.Username) bool { return u == guest })
	})
	if err == nil {
		_, err = s.l.endSessions(ctx, guest, func(x masu.Session) bool { return x.For == w.ID })
	}
	return w, err
}

// Share shares the environment of a workspace as it is now.
func (s *service) Share(ctx context.Context, q masu.ShareWish) (x masu.Shared, err error) {
	w, err := s.find(ctx, q.Workspace)
	if err != nil {
		return x, err
	}
	if w.Owner != s.actor.Name {
		return x, masu.E(masu.Denied, "not_owner", w.Name)
	}
	if err := hasAgent(w); err != nil {
		return x, err
	}
	host := s.l.cfg.Host(ctx)
	env := meant(w.Project.Environment, host).Unlocked()
	x = masu.Shared{ID: string(newID()), Owner: s.actor.Name, Title: strings.TrimSpace(cmp.Or(q.Title, w.Name)), About: tidy(q.About), Lab: q.Lab, At: time.Now().UTC(), Env: env}
	if err = described(x); err != nil {
		return masu.Shared{}, err
	}
	if x.Text, err = s.l.cfg.Text(env, x.Title, x.About); err != nil {
		return masu.Shared{}, err
	}
	if lock := w.Project.Environment.Lock; lock != nil && lockFits(w.Project.Environment, host) == nil {
		same := *lock
		same.Environment = env.Key() // as the text says it
		x.Lock = lockHead + same.Text()
	}
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.SharedEnvironments()
		mine := 0
		for _, other := range all {
			if other.Owner == s.actor.Name {
				mine++
			}
		}
		if err == nil && mine >= sharedMost {
			err = masu.E(masu.Full, "shared_full", sharedMost)
		}
		if err == nil {
			err = tx.PutShared(x)
		}
		return err
	})
	s.l.record(ctx, s.actor, "share", x.ID, err)
	if err != nil {
		return masu.Shared{}, err
	}
	return x, nil
}

// tidy makes the line ends of a form those of a text.
func tidy(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// described refuses words that cannot be shown.
func described(x masu.Shared) error {
	if x.Title == "" || !printable(x.Title, nameMost) || !printable(strings.ReplaceAll(x.About, "\n", " "), aboutMost) || !printable(x.Retired, aboutMost) {
		return masu.E(masu.Invalid, "share_words", nameMost, aboutMost)
	}
	return nil
}

// ChangeShared changes what the actor shares.
func (s *service) ChangeShared(ctx context.Context, id string, c masu.SharedChange) (x masu.Shared, err error) {
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if x, err = s.sharedByMe(tx, id); err != nil {
			return err
		}
		if c.Title != nil {
			x.Title = strings.TrimSpace(*c.Title)
		}
		if c.About != nil {
			x.About = tidy(*c.About)
		}
		if c.Lab != nil {
			x.Lab = *c.Lab
		}
		if c.Retired != nil {
			x.Retired = strings.TrimSpace(*c.Retired)
		}
		if err := described(x); err != nil {
			return err
		}
		if x.Text, err = s.l.cfg.Text(x.Env, x.Title, x.About); err != nil {
			return err
		}
		return tx.PutShared(x)
	})
	s.l.record(ctx, s.actor, "share", id, err)
	return x, err
}

// Unshare forgets it.
func (s *service) Unshare(ctx context.Context, id string) error {
	err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if _, err := s.sharedByMe(tx, id); err != nil {
			return err
		}
		return tx.DeleteShared(id)
	})
	s.l.record(ctx, s.actor, "unshare", id, err)
	return err
}

func (s *service) sharedByMe(tx masu.Tx, id string) (masu.Shared, error) {
	x, err := tx.SharedEnvironment(id)
	if err == nil && x.Owner != s.actor.Name && !s.actor.Admin {
		return masu.Shared{}, masu.E(masu.NotFound, "no_shared", id)
	}
	return x, err
}

// Shared finds what somebody shares: who knows its ID was given the link.
func (s *service) Shared(ctx context.Context, id string) (masu.EnvironmentUse, error) {
	var x masu.Shared
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { x, err = tx.SharedEnvironment(id); return err }); err != nil {
		return masu.EnvironmentUse{}, err
	}
	uses, err := s.uses(ctx)
	return uses.of(x, x.Env), err
}

// Environments lists those that the actor shares and those of the lab, and after them those that only the actor has.
func (s *service) Environments(ctx context.Context) (list []masu.EnvironmentUse, err error) {
	var shared []masu.Shared
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { shared, err = tx.SharedEnvironments(); return err }); err != nil {
		return nil, err
	}
	uses, err := s.uses(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	add := func(x masu.Shared, env masu.Environment) {
		u := uses.of(x, env)
		listed[u.Key] = true
		list = append(list, u)
	}
	for _, x := range shared {
		if x.Lab || x.Owner == s.actor.Name {
			add(x, x.Env)
		}
	}
	for _, env := range uses.mine {
		if !listed[env.Key()] {
			add(masu.Shared{}, env)
		}
	}
	return list, nil
}

// environmentUses tells, by an environment's key, who uses it.
type environmentUses struct {
	byKey map[string]*masu.EnvironmentUse
	mine  []masu.Environment // the actor's
}

// of gives what is known of one environment.
func (u environmentUses) of(x masu.Shared, env masu.Environment) masu.EnvironmentUse {
	use := masu.EnvironmentUse{}
	key := env.Key()
	if known := u.byKey[key]; known != nil {
		use = *known
	}
	use.Shared, use.Env, use.Key = x, env, key
	return use
}

func (s *service) uses(ctx context.Context) (u environmentUses, err error) {
	all, err := s.l.everything(ctx) // by owner
	if err != nil {
		return u, err
	}
	sizes := map[string]masu.Bytes{}
	if images, err := s.l.cfg.Runtime.Images(ctx); err == nil { // an engine that is away takes only the sizes
		for _, i := range images {
			sizes[i.ID] = i.Size
		}
	}
	u.byKey = map[string]*masu.EnvironmentUse{}
	host := s.l.cfg.Host(ctx)
	for _, w := range all {
		if w.Adopted != nil {
			continue
		}
		env := meant(w.Project.Environment, host).Unlocked()
		key := env.Key()
		use := u.byKey[key]
		if use == nil {
			use = &masu.EnvironmentUse{}
			u.byKey[key] = use
		}
		use.Size = max(use.Size, sizes[w.Image])
		if !slices.Contains(use.Members, w.Owner) {
			use.Members = append(use.Members, w.Owner)
		}
		if w.Owner == s.actor.Name {
			use.Workspaces = append(use.Workspaces, w.Name)
			u.mine = append(u.mine, env)
		}
	}
	return u, nil
}
