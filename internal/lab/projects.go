package lab

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

const (
	projectFile     = "masu.yaml"
	projectFileMost = 256 << 10 // bytes; what the parser takes
)

// Choices lists what runs on this host.
func (s *service) Choices(ctx context.Context) ([]masu.Choice, error) {
	return recipe.Choices(s.l.cfg.Host(ctx), s.l.cfg.Versions), nil
}

// Browse lists the folders in a folder that are the member's own.
func (s *service) Browse(_ context.Context, dir string) (list masu.Listing, err error) {
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return list, err
	}
	defer f.Close()
	list.Dir = f.Dir()
	entries, err := f.ReadDir(".")
	if errors.Is(err, fs.ErrPermission) {
		return list, masu.E(masu.Denied, "folder_not_yours", dir).Because(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			list.Folders = append(list.Folders, e.Name())
		}
	}
	if len(list.Folders) > masu.ListingMost {
		list.Folders, list.More = list.Folders[:masu.ListingMost], true
	}
	for _, name := range sources {
		if info, err := f.Stat(name); err == nil && info.Mode().IsRegular() {
			list.Source = name
			break
		}
	}
	return list, err
}

// sources are the files that may say what a folder asks for, the first first.
var sources = [...]string{projectFile, "Dockerfile", ".devcontainer/devcontainer.json", ".devcontainer.json", "requirements.txt", "apt.txt"}

// MakeFolder makes an empty folder, as the member.
func (s *service) MakeFolder(_ context.Context, dir string) error {
	return s.l.cfg.Folders.MakeFolder(s.actor.User, dir)
}

// Read says what a folder asks for and how it would be met.
func (s *service) Read(ctx context.Context, dir string) (masu.Plan, error) {
	p, err := s.read(dir, "")
	if err != nil {
		return masu.Plan{Project: p}, err
	}
	return s.plan(ctx, p)
}

// Preview is Read with another masu.yaml than the one that is there.
func (s *service) Preview(ctx context.Context, dir, text string) (masu.Plan, error) {
	p, err := s.readWith(dir, text)
	if err != nil {
		return masu.Plan{Project: p}, err
	}
	return s.plan(ctx, p)
}

// readWith reads a folder as if its masu.yaml were text.
func (s *service) readWith(dir, text string) (masu.Project, error) {
	return s.readIn(dir, "", func(f masu.Folder) masu.Folder {
		return overlay{f, fstest.MapFS{projectFile: {Data: []byte(text), Mode: 0o644}}}
	})
}

// overlay is a folder with files that are not there, or not yet.
type overlay struct {
	masu.Folder
	over fstest.MapFS
}

func (o overlay) Open(name string) (fs.File, error) {
	if o.over[name] != nil {
		return o.over.Open(name)
	}
	return o.Folder.Open(name)
}

func (o overlay) Stat(name string) (fs.FileInfo, error) {
	if o.over[name] != nil {
		return o.over.Stat(name)
	}
	return o.Folder.Stat(name)
}

// meant is the environment that one which names nothing to build on gets here.
func meant(env masu.Environment, host masu.Host) masu.Environment {
	if env.Preset == "" && env.Base == "" && env.Dockerfile == "" {
		env.Preset = recipe.Default(host)
	}
	return env
}

// plan says how a project would be met.
func (s *service) plan(ctx context.Context, p masu.Project) (masu.Plan, error) {
	plan := masu.Plan{Project: p}
	host := s.l.cfg.Host(ctx)
	env := meant(p.Environment, host)
	stale := lockFits(p.Environment, host)
	if stale != nil {
		env.Lock = nil
	}
	base := masu.Image{}
	if ref, _, err := recipe.Base(env, host, s.l.cfg.Versions); err == nil && env.Dockerfile == "" {
		base, _ = s.l.cfg.Runtime.Image(ctx, ref) // what is not there is not made from packages either
	}
	wish := imageWish{owner: s.actor.User, project: p, order: s.orderOf(ctx, p.Dir)}
	r, err := recipe.Plan(s.l.recipeConfig(env, host, wish, base))
	if err != nil {
		return plan, err
	}
	plan.Base, plan.Recipe, plan.Ref, plan.Notes = r.Base, r.Files, r.Ref, r.Notes
	if stale != nil {
		plan.Notes = append(plan.Notes, masu.Note{Code: masu.CodeOf(stale)})
	}
	_, err = s.l.cfg.Runtime.Image(ctx, r.Ref)
	plan.Built = err == nil
	return plan, nil
}

// ProjectFile gives a folder's masu.yaml.
func (s *service) ProjectFile(_ context.Context, dir string) (string, error) {
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat(projectFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err == nil && (!info.Mode().IsRegular() || info.Size() > projectFileMost):
		return "", masu.E(masu.Invalid, "file_not_regular", projectFile)
	}
	b, err := fs.ReadFile(f, projectFile)
	if errors.Is(err, fs.ErrPermission) {
		return "", masu.E(masu.Denied, "folder_not_yours", dir).Because(err)
	}
	return string(b), err
}

// WriteProjectFile replaces a folder's masu.yaml by one that is right.
func (s *service) WriteProjectFile(ctx context.Context, dir, old, text string) (err error) {
	defer func() { s.l.record(ctx, s.actor, "edit", dir, err) }()
	if _, err := s.readWith(dir, text); err != nil {
		return err
	}
	now, err := s.ProjectFile(ctx, dir)
	if err != nil {
		return err
	}
	if now == text {
		return nil
	}
	if now != old {
		return masu.E(masu.Conflict, "project_changed", dir)
	}
	return s.l.cfg.Folders.WriteFile(s.actor.User, dir, projectFile, []byte(text))
}
