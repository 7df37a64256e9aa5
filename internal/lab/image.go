package lab

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing/fstest"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

// imageWish is what an image is made from.
type imageWish struct {
	owner   masu.User
	project masu.Project
	order   []masu.Layer
	noCache bool
	compact bool
}

// built is an image that is there.
type built struct {
	ID    string
	Order []masu.Layer
	Smoke []string
	Built bool // made just now
}

// making is a build that several may wait for.
type making struct {
	done chan struct{}
	id   string
	err  error
	says *journal
}

const baseFromPackages = "masu.base.packages" // label of a base image that masu made

// image makes sure that the environment's image is there.
func (l *Lab) image(ctx context.Context, wish imageWish, tell func(masu.Progress)) (built, error) {
	host := l.cfg.Host(ctx)
	if err := lockFits(wish.project.Environment, host); err != nil {
		return built{}, err
	}
	asked := meant(wish.project.Environment, host)
	if !wish.noCache {
		img, ok, err := l.ready(ctx, handedTo(wish.owner, asked.Unlocked().Key()), asked.Lock)
		if err != nil {
			return built{}, err
		}
		if ok {
			tell(masu.Progress{Code: "image_handed"})
			return built{ID: img.ID, Order: wish.order, Smoke: l.smokeOf(asked, host, wish)}, nil
		}
	}
	env := asked
	if env.Dockerfile != "" {
		ref, err := l.ownImage(ctx, wish, tell)
		if err != nil {
			return built{}, err
		}
		env = masu.Environment{Base: ref, Locale: env.Locale, Timezone: env.Timezone, Lock: env.Lock}
	}
	base, _, err := recipe.Base(env, host, l.cfg.Versions)
	if err != nil {
		return built{}, err
	}
	img, err := l.base(ctx, base, tell)
	if err != nil {
		return built{}, err
	}
	r, err := recipe.Plan(l.recipeConfig(env, host, wish, img))
	if err != nil {
		return built{}, err
	}
	for _, n := range r.Notes {
		tell(masu.Progress{Code: n.Code, Args: n.Args})
	}
	r.Labels[labelWish] = wished(asked)
	return l.made(ctx, wish, env, r, l.recipeConfig(env.Unlocked(), host, wish, img), tell)
}

// made finds the image of a recipe, or builds it. What was built without the
// lock, and is what the lock says, need not be built again.
func (l *Lab) made(ctx context.Context, wish imageWish, env masu.Environment, r recipe.Recipe, unlocked recipe.Config, tell func(masu.Progress)) (built, error) {
	out := built{Order: r.Order, Smoke: r.Smoke}
	refs := []masu.ImageRef{r.Ref}
	if env.Lock != nil {
		if free, err := recipe.Plan(unlocked); err == nil {
			refs = []masu.ImageRef{free.Ref, r.Ref}
		}
	}
	for i, ref := range refs {
		lock := env.Lock
		if i == len(refs)-1 {
			lock = nil // it was built by the lock
		}
		if wish.noCache {
			break
		}
		if have, ok, err := l.ready(ctx, ref, lock); err != nil {
			return out, err
		} else if ok {
			out.ID = have.ID
			return out, nil
		}
	}
	files := fstest.MapFS{}
	for _, f := range r.Files {
		files[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: fileMode(f)}
	}
	if err := l.mayBuild(ctx, wish.owner); err != nil {
		return out, err
	}
	out.Built = true
	watch := &lockWatch{tell: tell}
	if env.Lock != nil {
		tell(masu.Progress{Code: "lock_held"})
		tell = watch.take
	}
	var err error
	out.ID, err = l.build(ctx, wish.owner.Name, masu.BuildRequest{Ref: r.Ref, Files: files, Dockerfile: "Dockerfile", Args: r.Args, Labels: r.Labels, NoCache: wish.noCache}, tell)
	if err == nil && env.Lock != nil {
		l.baseMoved(ctx, out.ID, env.Lock, tell)
	}
	return out, watch.explain(err)
}

func (l *Lab) recipeConfig(env masu.Environment, host masu.Host, wish imageWish, base masu.Image) recipe.Config {
	return recipe.Config{Environment: env, Host: host, Versions: l.cfg.Versions, Site: l.cfg.Site, CAs: l.cfg.CAs, Order: wish.order, Compact: wish.compact,
		BaseFromPackages: base.Labels[baseFromPackages] != ""}
}

// base finds a base image here, fetches it, or makes it from the distribution's packages.
func (l *Lab) base(ctx context.Context, ref masu.ImageRef, tell func(masu.Progress)) (masu.Image, error) {
	img, err := l.cfg.Runtime.Image(ctx, ref)
	if masu.KindOf(err) != masu.NotFound || err == nil {
		return img, err
	}
	tell(masu.Progress{Code: "base_pull", Args: []string{string(ref)}})
	err = l.cfg.Runtime.Pull(ctx, ref, tell)
	if err != nil && masu.CodeOf(err) == "registry_unreachable" && l.cfg.Bases != nil && l.cfg.Bases.Can(ref) {
		tell(masu.Progress{Code: "base_make", Args: []string{string(ref)}})
		err = l.makeBase(ctx, ref, tell)
	}
	if near := recipe.Nearest(ref, l.cfg.Versions); err != nil && masu.CodeOf(err) == "no_image" && len(near) > 0 {
		err = masu.E(masu.NotFound, "base_gone", ref, near[0], near).Because(err)
	}
	if err != nil {
		return masu.Image{}, err
	}
	return l.cfg.Runtime.Image(ctx, ref)
}

func (l *Lab) makeBase(ctx context.Context, ref masu.ImageRef, tell func(masu.Progress)) error {
	step := masu.Progress{Step: "base", Name: string(ref), State: masu.StepRunning}
	tell(step)
	r, w := io.Pipe()
	made := make(chan error, 1)
	go func() {
		err := l.cfg.Bases.Make(ctx, ref, w, func(line string) { tell(masu.Progress{Step: "base", Line: line}) })
		w.CloseWithError(err)
		made <- err
	}()
	err := l.cfg.Runtime.Import(ctx, ref, r, map[string]string{baseFromPackages: "true"})
	r.CloseWithError(errors.New("the engine does not want more"))
	if merr := <-made; merr != nil && masu.CodeOf(merr) != "internal" {
		err = merr
	}
	step.State = masu.StepDone
	if err != nil {
		step.State = masu.StepFailed
	}
	tell(step)
	return err
}

// build makes an image once, however many wait for it. It goes on while any of
// them does... and ends with the one who began it; the others then begin anew.
func (l *Lab) build(ctx context.Context, owner masu.Username, r masu.BuildRequest, tell func(masu.Progress)) (string, error) {
	for {
		l.mu.Lock()
		m := l.making[r.Ref]
		if m == nil {
			m = &making{done: make(chan struct{}), says: newJournal()}
			l.making[r.Ref] = m
			l.mu.Unlock()
			return l.buildOnce(ctx, owner, r, m, tell)
		}
		l.mu.Unlock()
		for p, err := range m.says.read(ctx) {
			if err != nil {
				return "", err
			}
			tell(p)
		}
		<-m.done
		if !errors.Is(m.err, context.Canceled) && masu.CodeOf(m.err) != "builds_denied" { // what ends one member's wait is not another's
			return m.id, m.err
		}
	}
}

func (l *Lab) buildOnce(ctx context.Context, owner masu.Username, r masu.BuildRequest, m *making, tell func(masu.Progress)) (string, error) {
	both := func(p masu.Progress) { m.says.tell(p); tell(p) }
	defer func() {
		l.mu.Lock()
		delete(l.making, r.Ref)
		l.mu.Unlock()
		m.says.close()
		close(m.done)
	}()
	waits := func() { both(masu.Progress{At: time.Now(), Code: "build_waits"}) }
	if m.err = l.beginBuild(ctx, owner, waits); m.err != nil {
		return "", m.err
	}
	defer l.endBuild(owner)
	if !l.builds.TryAcquire(1) {
		waits()
		if m.err = l.builds.Acquire(ctx, 1); m.err != nil {
			return "", m.err
		}
	}
	defer l.builds.Release(1)
	begun := time.Now()
	m.id, m.err = l.buildWithin(ctx, r, both)
	if ctx.Err() != nil {
		m.err = ctx.Err()
	}
	if how := outcome(ctx, m.err); how != "" {
		l.cfg.Metrics.Builds.Observe(time.Since(begun), how)
	}
	return m.id, m.err
}

// buildWithin ends a build that takes too long.
func (l *Lab) buildWithin(ctx context.Context, r masu.BuildRequest, tell func(masu.Progress)) (string, error) {
	limit := l.policy().BuildWithin
	if limit <= 0 {
		return l.cfg.Runtime.Build(ctx, r, tell)
	}
	long := masu.E(masu.Full, "build_too_long", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, long)
	defer cancel()
	id, err := l.cfg.Runtime.Build(ctx, r, tell)
	if err != nil && errors.Is(context.Cause(ctx), long) {
		err = long
	}
	return id, err
}

// ownImage builds a member's own Dockerfile; masu's recipe then builds on it.
func (l *Lab) ownImage(ctx context.Context, wish imageWish, tell func(masu.Progress)) (masu.ImageRef, error) {
	env := wish.project.Environment
	ref := masu.ImageRef("masu/own:" + env.Unlocked().Key())
	if !wish.noCache {
		if _, err := l.cfg.Runtime.Image(ctx, ref); err == nil {
			return ref, nil
		} else if masu.KindOf(err) != masu.NotFound {
			return "", err
		}
	}
	if err := l.mayBuild(ctx, wish.owner); err != nil {
		return "", err
	}
	f, err := l.cfg.Folders.OpenFolder(wish.owner, wish.project.Dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	files, _, err := l.cfg.Context(f, env.Dockerfile, env.Context)
	if err != nil {
		return "", err
	}
	if d, ok := files.(interface{ Digest() string }); ok && d.Digest() != env.Digest {
		return "", masu.E(masu.Conflict, "project_changed", wish.project.Dir)
	}
	inner := strings.TrimPrefix(env.Dockerfile, env.Context+"/") // as the context sees it
	_, err = l.build(ctx, wish.owner.Name, masu.BuildRequest{Ref: ref, Files: files, Dockerfile: inner, Target: env.Target, Args: env.BuildArgs,
		Labels: map[string]string{"masu.environment": env.Unlocked().Key()}, NoCache: wish.noCache}, tell)
	return ref, err
}
