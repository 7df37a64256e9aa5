package lab

import (
	"cmp"
	"context"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

const tidyFor = 30 * time.Second

func fileMode(f masu.File) fs.FileMode {
	if f.Mode == 0 {
		return 0o644
	}
	return fs.FileMode(f.Mode)
}

// Run runs a command in a fresh box and removes it, whatever happens.
func (s *service) Run(ctx context.Context, r masu.RunRequest, progress func(masu.Progress)) (code int, err error) {
	id := newID()
	defer func() { s.l.record(ctx, s.actor, "run", string(id), err) }()
	if len(r.Exec.Argv) == 0 {
		return 0, masu.E(masu.Invalid, "run_nothing")
	}
	if r.Name != "" && !masu.ValidWorkspaceName(r.Name) {
		return 0, masu.E(masu.Invalid, "workspace_name", r.Name)
	}
	if err := cmp.Or(s.mayBegin(ctx), s.l.mayRun(s.actor.Name)); err != nil {
		return 0, err
	}
	p, image, err := s.runImage(ctx, r, progress)
	if err != nil {
		return 0, err
	}
	if r.Want != nil {
		p.Want = *r.Want
	}
	name := cmp.Or(r.Name, "run")
	words := make(chan notice, wordsMost)
	s.l.goes(id, goingRun{owner: s.actor.Name, name: name, words: words})
	defer s.l.endRun(ctx, id)
	if err := s.l.awaitLine(ctx, s.actor.Name, place{id, time.Now(), false}, func(most int) { progress(masu.Progress{Code: "runs_line", Args: []string{strconv.Itoa(most)}}) }); err != nil {
		return 0, err
	}
	gpus, err := s.l.grant(ctx, masu.Ticket{Workspace: id, Holder: s.actor.Name, Name: name, Project: p.Name, Want: p.Want}, func() { progress(masu.Progress{Code: "gpus_wait"}) })
	if err != nil {
		return 0, err
	}
	b := s.l.emptyBox(id, name, s.actor.User, image, p)
	b.Run, b.GPUs = true, gpus
	if err := s.l.starts.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	err = s.l.cfg.Runtime.Start(ctx, b)
	s.l.starts.Release(1)
	if err != nil {
		return 0, err
	}
	if err := s.l.boxRuns(ctx, id, progress); err != nil {
		return 0, err
	}
	began := time.Now()
	s.l.began(id, began)
	if err := s.l.agentAnswers(ctx, id); err != nil {
		return 0, err
	}
	code, err = s.execTold(ctx, id, r.Exec, words, progress)
	if taken := s.l.takenBack(ctx, id, began); taken != nil {
		return 0, taken
	}
	return code, err
}

// execTold executes a command, and passes on meanwhile what its terminal is told.
func (s *service) execTold(ctx context.Context, id masu.WorkspaceID, e masu.Exec, words <-chan notice, progress func(masu.Progress)) (int, error) {
	told, end := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() { s.atTerminal(told, id, e.TTY, words, progress) })
	defer telling.Wait()
	defer end()
	return s.l.cfg.Runtime.Exec(ctx, id, e)
}

// agentAnswers waits until the account is made in a box that was just started.
func (l *Lab) agentAnswers(ctx context.Context, id masu.WorkspaceID) error {
	wait, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if err := l.listen(wait, id, func(masu.AgentStatus) bool { return false }); err == nil {
			return nil
		}
		if dead := l.diedStarting(ctx, id); dead != nil {
			return dead
		}
		select {
		case <-time.After(agentRetry / 25):
		case <-wait.Done():
			return masu.E(masu.Unreachable, "agent_silent").Because(wait.Err())
		}
	}
}

// endRun removes the box of a run, also when the one who asked has gone.
func (l *Lab) endRun(ctx context.Context, id masu.WorkspaceID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyFor)
	defer cancel()
	if err := l.cfg.Runtime.Remove(ctx, id); err != nil {
		l.log.Error("remove run", "box", id, "error", err) // the next reconciliation tries again
	}
	if err := l.endLease(ctx, id); err != nil {
		l.log.Error("end lease", "box", id, "error", err)
	}
	l.goesNoMore(id)
}

// runImage finds what a run runs in.
func (s *service) runImage(ctx context.Context, r masu.RunRequest, progress func(masu.Progress)) (p masu.Project, image string, err error) {
	if r.Dir != "" {
		if p, err = s.read(r.Dir, r.Preset); err != nil {
			return p, "", err
		}
	} else {
		p.Environment.Preset = r.Preset
	}
	if r.Image != "" {
		img, err := s.l.base(ctx, r.Image, progress)
		return p, img.ID, err
	}
	b, err := s.l.image(ctx, imageWish{owner: s.actor.User, project: p, order: s.orderOf(ctx, p.Dir)}, progress)
	return p, b.ID, err
}

// orderOf tells how the last build for a folder was layered.
func (s *service) orderOf(ctx context.Context, dir string) []masu.Layer {
	list, err := s.Workspaces(ctx, false)
	if err != nil || dir == "" {
		return nil
	}
	for _, w := range list {
		if w.Project.Dir == dir {
			return w.Order
		}
	}
	return nil
}

// Build makes the image of a folder's environment and starts nothing.
func (s *service) Build(ctx context.Context, r masu.BuildWish, progress func(masu.Progress)) (img masu.Image, err error) {
	defer func() { s.l.record(ctx, s.actor, "build", r.Dir, err) }()
	if err := s.mayBegin(ctx); err != nil {
		return img, err
	}
	p, err := s.read(r.Dir, r.Preset)
	if err != nil {
		return img, err
	}
	b, err := s.l.image(ctx, imageWish{owner: s.actor.User, project: p, order: s.orderOf(ctx, p.Dir), noCache: r.NoCache, compact: r.Compact}, progress)
	if err != nil {
		return img, err
	}
	if err := s.keepOrder(ctx, p.Dir, b.Order); err != nil {
		return img, err
	}
	return s.l.cfg.Runtime.Image(ctx, masu.ImageRef(b.ID))
}

func (s *service) keepOrder(ctx context.Context, dir string, order []masu.Layer) error {
	return s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Workspaces()
		for _, w := range all {
			if err == nil && w.Owner == s.actor.Name && w.Project.Dir == dir {
				w.Order = order
				err = tx.PutWorkspace(w)
			}
		}
		return err
	})
}

// Images lists masu's images with who needs them.
func (s *service) Images(ctx context.Context) ([]masu.ImageUse, error) {
	images, err := s.l.cfg.Runtime.Images(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.l.everything(ctx)
	if err != nil {
		return nil, err
	}
	uses := make([]masu.ImageUse, len(images))
	for i, img := range images {
		uses[i].Image = img
		for _, w := range all {
			if w.Image != img.ID {
				continue
			}
			if !slices.Contains(uses[i].Owners, w.Owner) {
				uses[i].Owners = append(uses[i].Owners, w.Owner)
			}
			if w.Owner == s.actor.Name || s.actor.Admin {
				uses[i].Workspaces = append(uses[i].Workspaces, string(w.Owner)+"/"+w.Name)
			}
		}
	}
	return uses, nil
}

// RemoveImage removes one that nobody else needs.
func (s *service) RemoveImage(ctx context.Context, ref masu.ImageRef) (err error) {
	defer func() { s.l.record(ctx, s.actor, "images rm", string(ref), err) }()
	uses, err := s.Images(ctx)
	if err != nil {
		return err
	}
	for _, u := range uses {
		if u.ID != string(ref) && !slices.Contains(u.Refs, ref) {
			continue
		}
		for _, owner := range u.Owners {
			if owner != s.actor.Name && !s.actor.Admin {
				return masu.E(masu.Denied, "image_not_yours", ref)
			}
		}
		if s.loadedByOthers(u.Image) {
			return masu.E(masu.Denied, "image_not_yours", ref)
		}
		if len(u.Owners) > 0 {
			return masu.E(masu.Conflict, "image_needed", ref)
		}
		return s.l.cfg.Runtime.RemoveImage(ctx, masu.ImageRef(u.ID))
	}
	return masu.E(masu.NotFound, "no_image", ref)
}

// PruneImages removes what no workspace and no box needs.
func (s *service) PruneImages(ctx context.Context, dry bool) (gone []masu.ImageUse, err error) {
	if !dry {
		defer func() { s.l.record(ctx, s.actor, "images prune", "", err) }()
	}
	uses, err := s.Images(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		if len(u.Owners) > 0 || u.InUse || u.Labels[baseFromPackages] != "" || s.loadedByOthers(u.Image) {
			continue
		}
		if !dry {
			if err := s.l.cfg.Runtime.RemoveImage(ctx, masu.ImageRef(u.ID)); masu.KindOf(err) == masu.Conflict && err != nil {
				continue // needed since it was looked at
			} else if err != nil {
				return gone, err
			}
		}
		gone = append(gone, u)
	}
	return gone, nil
}

// Link makes a one-time link.
func (s *service) Link(ctx context.Context, name string) (masu.OpenLink, error) {
	next := "/"
	if name != "" {
		w, err := s.shown(ctx, name)
		if err != nil {
			return masu.OpenLink{}, err
		}
		key := w.Name
		if w.Owner != s.actor.Name { // an admin who helps, or a guest
			key = w.Label
		}
		next = "/w/" + url.PathEscape(key)
		switch {
		case !w.Part:
			next += "/app/jupyter"
		case len(w.Project.Apps) == 1:
			next += "/app/" + w.Project.Apps[0].Name
		}
	}
	expires := time.Now().Add(linkFor)
	code, err := s.l.link(ctx, masu.Link{User: s.actor.Name, Next: next}, linkFor)
	return masu.OpenLink{URL: s.l.cfg.Origins.Pages() + "/enter?code=" + code, Expires: expires}, err
}
