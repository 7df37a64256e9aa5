package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

const (
	recordFile  = "/opt/recipe/packages.txt" // written by the recipe's record.sh
	lockFile    = "masu.lock"
	labelWish   = "masu.wish" // of an image: the environment that it was built for, as JSON
	recordsMost = 200         // kept in memory
	lockHead    = "# Made by masu lock: builds in this folder take exactly these versions.\n# To take newer ones: masu lock --upgrade. To do without: delete this file.\n"
)

// wished is the label by which an image tells what it was built for.
func wished(env masu.Environment) string {
	b, err := json.Marshal(env.Unlocked())
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return string(b)
}

// contentsOf reads what the build noted inside an image.
func (l *Lab) contentsOf(ctx context.Context, img masu.Image) (masu.Lock, error) {
	l.mu.Lock()
	lock, known := l.records[img.ID]
	l.mu.Unlock()
	if known {
		return lock, nil
	}
	text, err := l.cfg.Runtime.ImageFile(ctx, masu.ImageRef(img.ID), recordFile)
	if err != nil {
		return lock, err
	}
	if lock, err = masu.ParseLock(string(text)); err != nil {
		return lock, masu.E(masu.NotFound, "image_no_record", img.ID).Because(err)
	}
	lock.Image = masu.ImageRef(img.Labels["masu.base"])
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) >= recordsMost {
		clear(l.records)
	}
	l.records[img.ID] = lock
	return lock, nil
}

// lockFits refuses a lock that was made for another environment than the folder asks for now.
func lockFits(env masu.Environment, host masu.Host) error {
	plain := env.Unlocked()
	if env.Lock == nil || env.Lock.Environment == plain.Key() || env.Lock.Environment == meant(plain, host).Key() {
		return nil
	}
	return masu.E(masu.Invalid, "lock_stale")
}

// handedTo is the name of an image that a member has loaded, for an environment:
// it serves that member alone, because an image is whatever its maker put into it.
func handedTo(u masu.User, key string) masu.ImageRef {
	return masu.ImageRef(fmt.Sprintf("masu/of-%d:%s", u.UID, key))
}

// ready finds an image that is as the wish wants it, so that nothing need be
// built: one that its owner has loaded, or one that ref names. With a lock it has
// to hold exactly that.
func (l *Lab) ready(ctx context.Context, ref masu.ImageRef, lock *masu.Lock) (masu.Image, bool, error) {
	img, err := l.cfg.Runtime.Image(ctx, ref)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return img, false, nil
	}
	if err != nil || lock == nil {
		return img, err == nil, err
	}
	has, err := l.contentsOf(ctx, img)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return img, false, nil
	}
	return img, err == nil && lock.Holds(has), err
}

var vanished = []*regexp.Regexp{
	regexp.MustCompile(`^lock: (apt) (\S+) (\S+) is not to be had`),
	regexp.MustCompile(`No matching (distribution) found for ([A-Za-z0-9._-]+)==(\S+)`),
	regexp.MustCompile(`The user requested \((constraint)\) ([A-Za-z0-9._-]+)==(\S+)`),
	regexp.MustCompile(`^lock: (pip) (\S+) (\S+) is another file`),
}

// lockWatch reads the lines of a build that is held to a lock, and knows at its end which package could not be had.
type lockWatch struct {
	tell  func(masu.Progress)
	found []string
}

func (w *lockWatch) take(p masu.Progress) {
	for _, g := range vanished {
		if m := g.FindStringSubmatch(p.Line); m != nil && w.found == nil {
			w.found = m[1:]
		}
	}
	w.tell(p)
}

func (w *lockWatch) explain(err error) error {
	if masu.CodeOf(err) != "build_failed" || w.found == nil {
		return err
	}
	code := "lock_gone"
	if w.found[0] == "pip" {
		code = "lock_other_file"
	}
	return masu.E(masu.Invalid, code, w.found[1], w.found[2]).Because(err)
}

// baseMoved tells where a new image is not what its lock says: the base has brought something else than then.
func (l *Lab) baseMoved(ctx context.Context, id string, lock *masu.Lock, tell func(masu.Progress)) {
	img, err := l.cfg.Runtime.Image(ctx, masu.ImageRef(id))
	if err != nil {
		return
	}
	has, err := l.contentsOf(ctx, img)
	if err != nil {
		return
	}
	var names []string
	for _, d := range masu.Compare(masu.Contents{Lock: *lock}, masu.Contents{Lock: has}) {
		names = append(names, strings.TrimSpace(d.Kind+" "+d.Name))
	}
	if len(names) > 0 {
		tell(masu.Progress{Code: "lock_differs", Args: []string{fmt.Sprint(len(names)), strings.Join(names[:min(len(names), 5)], ", ")}})
	}
}

// Contents tells what an environment has.
func (s *service) Contents(ctx context.Context, name string) (c masu.Contents, err error) {
	if strings.HasPrefix(name, "/") {
		return s.folderContents(ctx, name)
	}
	img, w, err := s.imageOf(ctx, name)
	if err != nil {
		return c, err
	}
	if c, err = s.contents(ctx, img, name); err == nil {
		c.Variables = w.Project.Variables
	}
	return c, err
}

func (s *service) contents(ctx context.Context, img masu.Image, name string) (c masu.Contents, err error) {
	c = masu.Contents{Name: name, Image: img.ID}
	if c.Lock, err = s.l.contentsOf(ctx, img); err != nil {
		return c, err
	}
	if json.Unmarshal([]byte(img.Labels[labelWish]), &c.Env) != nil {
		c.Env = masu.Environment{}
	}
	c.Env = c.Env.Unlocked()
	c.Lock.Environment = c.Env.Key()
	if text, err := s.l.cfg.Text(c.Env); err == nil && img.Labels[labelWish] != "" {
		c.Text = text
	}
	return c, nil
}

// folderContents is what a folder's lock says, or else its image.
func (s *service) folderContents(ctx context.Context, dir string) (c masu.Contents, err error) {
	p, err := s.read(dir, "")
	if err != nil {
		return c, err
	}
	c = masu.Contents{Name: dir, Env: p.Environment.Unlocked(), Variables: p.Variables}
	if lock := p.Environment.Lock; lock != nil && lockFits(p.Environment, s.l.cfg.Host(ctx)) == nil {
		c.Lock = *lock
		return c, nil
	}
	img, err := s.folderImage(ctx, p)
	if err != nil {
		return c, err
	}
	if c, err = s.contents(ctx, img, dir); err == nil {
		c.Variables = p.Variables
	}
	return c, err
}

// folderImage finds the image of a folder's environment, without building it.
func (s *service) folderImage(ctx context.Context, p masu.Project) (masu.Image, error) {
	host := s.l.cfg.Host(ctx)
	if lockFits(p.Environment, host) != nil {
		p.Environment.Lock = nil
	}
	env := meant(p.Environment, host)
	if img, ok, err := s.l.ready(ctx, handedTo(s.actor.User, env.Unlocked().Key()), env.Lock); ok || err != nil {
		return img, err
	}
	refs := []masu.ImageRef{}
	for _, lock := range []*masu.Lock{env.Lock, nil} {
		p.Environment.Lock = lock
		if plan, err := s.plan(ctx, p); err == nil {
			refs = append(refs, plan.Ref)
		}
	}
	for _, ref := range refs {
		if img, ok, err := s.l.ready(ctx, ref, env.Lock); ok || err != nil {
			return img, err
		}
	}
	return masu.Image{}, masu.E(masu.Conflict, "not_built", p.Dir)
}

// imageOf resolves a name to an image that the actor uses, or as an admin may look after.
func (s *service) imageOf(ctx context.Context, name string) (img masu.Image, w masu.Workspace, err error) {
	if strings.HasPrefix(name, "/") {
		p, err := s.read(name, "")
		if err != nil {
			return img, w, err
		}
		img, err = s.folderImage(ctx, p)
		return img, w, err
	}
	if w, err = s.find(ctx, name); err == nil {
		if w.Image == "" {
			return img, w, masu.E(masu.Conflict, "not_built", name)
		}
		img, err = s.l.cfg.Runtime.Image(ctx, masu.ImageRef(w.Image))
		return img, w, err
	}
	uses, err := s.Images(ctx)
	if err != nil {
		return img, w, err
	}
	own := fmt.Sprintf("masu/of-%d:", s.actor.UID)
	for _, u := range uses {
		if u.ID != name && !slices.Contains(u.Refs, masu.ImageRef(name)) {
			continue
		}
		mine := slices.ContainsFunc(u.Refs, func(r masu.ImageRef) bool { return strings.HasPrefix(string(r), own) })
		if !mine && !s.actor.Admin && !slices.Contains(u.Owners, s.actor.Name) {
			return img, w, masu.E(masu.Denied, "image_not_used", name)
		}
		return u.Image, w, nil
	}
	return img, w, masu.E(masu.NotFound, "image_unknown", name)
}

// Lock writes masu.lock: what the image of the folder's environment has.
func (s *service) Lock(ctx context.Context, r masu.BuildWish, progress func(masu.Progress)) (lock masu.Lock, err error) {
	defer func() { s.l.record(ctx, s.actor, "lock", r.Dir, err) }()
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	if err := s.mayBegin(ctx); err != nil {
		return lock, err
	}
	p, err := s.read(r.Dir, r.Preset)
	if err != nil {
		return lock, err
	}
	if r.NoCache || lockFits(p.Environment, s.l.cfg.Host(ctx)) != nil {
		p.Environment.Lock = nil
	}
	b, err := s.l.image(ctx, imageWish{owner: s.actor.User, project: p, order: s.orderOf(ctx, p.Dir), noCache: r.NoCache, compact: r.Compact}, progress)
	if err != nil {
		return lock, err
	}
	if err := s.keepOrder(ctx, p.Dir, b.Order); err != nil {
		return lock, err
	}
	img, err := s.l.cfg.Runtime.Image(ctx, masu.ImageRef(b.ID))
	if err != nil {
		return lock, err
	}
	if lock, err = s.l.contentsOf(ctx, img); err != nil {
		return lock, err
	}
	lock.Environment = p.Environment.Unlocked().Key()
	return lock, s.l.cfg.Folders.WriteFile(s.actor.User, p.Dir, lockFile, []byte(lockHead+lock.Text()))
}

// smokeOf is the test of an image that came from elsewhere.
func (l *Lab) smokeOf(env masu.Environment, host masu.Host, wish imageWish) []string {
	r, err := recipe.Plan(l.recipeConfig(env, host, wish, masu.Image{}))
	if err != nil {
		return nil
	}
	return r.Smoke
}
