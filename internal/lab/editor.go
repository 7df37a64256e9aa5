package lab

import (
	"context"
	"io"
	"path"
	"strings"
	"testing/fstest"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

// editorApp is VS Code for the browser. It comes with masu and not with an
// environment: made once on this host, and mounted into the boxes that ask for it.
const editorApp = "code"

// Shelf keeps programs of masu's own in folders on the host.
type Shelf interface {
	// Find gives the folder of what was put there under a name; "" if nothing was.
	Find(name string) string
	// Put unpacks a tar, whose first part of each path is left out. It is there as a whole or not at all.
	Put(ctx context.Context, name string, tar io.Reader) error
}

func wantsEditor(p masu.Project) bool { return p.HasApp(editorApp) }

// editorRecipe says how the editor is made on this host.
func (l *Lab) editorRecipe() (recipe.Recipe, error) {
	return recipe.Editor(recipe.Config{Site: l.cfg.Site, CAs: l.cfg.CAs})
}

// editorMounts brings the editor into a box that asks for it, once it is there.
func (l *Lab) editorMounts(p masu.Project) []masu.Mount {
	if l.cfg.Shelf == nil || !wantsEditor(p) {
		return nil
	}
	r, err := l.editorRecipe()
	if err != nil {
		return nil
	}
	program := l.cfg.Shelf.Find(shelfName(r))
	if !l.hasPrograms() {
		program = string(r.Ref)
	}
	if program == "" {
		return nil
	}
	return []masu.Mount{{Program: program, Target: masu.EditorPath}}
}

// hasPrograms tells whether boxes get programs from folders of this host. On a
// cluster, where a folder of this host is on no machine, they get them out of images.
func (l *Lab) hasPrograms() bool {
	_, ok := l.cfg.Runtime.(masu.Extractor)
	return ok
}

// shelfName is what an image's content is kept under.
func shelfName(r recipe.Recipe) string { return path.Base(strings.ReplaceAll(string(r.Ref), ":", "-")) }

// editor makes sure that the editor is there if the project asks for it. The
// first who does waits for minutes, and sees how that goes; then all have it.
func (l *Lab) editor(ctx context.Context, owner masu.Username, p masu.Project, tell func(masu.Progress)) error {
	if l.cfg.Shelf == nil || !wantsEditor(p) {
		return nil
	}
	r, err := l.editorRecipe()
	if err != nil || l.hasPrograms() && l.cfg.Shelf.Find(shelfName(r)) != "" {
		return err
	}
	if !l.hasPrograms() {
		if _, err := l.cfg.Runtime.Image(ctx, r.Ref); masu.KindOf(err) != masu.NotFound {
			return err
		}
	}
	tell(masu.Progress{Code: "editor_make"})
	if err = l.makeEditor(ctx, owner, r, tell); err != nil && masu.CodeOf(err) == "build_failed" {
		err = masu.E(masu.Unreachable, "editor_failed", editorApp).Because(err)
	}
	return err
}

func (l *Lab) makeEditor(ctx context.Context, owner masu.Username, r recipe.Recipe, tell func(masu.Progress)) error {
	if _, err := l.cfg.Runtime.Image(ctx, r.Ref); masu.KindOf(err) == masu.NotFound {
		if _, err := l.base(ctx, r.Base, tell); err != nil {
			return err
		}
		files := fstest.MapFS{}
		for _, f := range r.Files {
			files[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: fileMode(f)}
		}
		if _, err := l.build(ctx, owner, masu.BuildRequest{Ref: r.Ref, Files: files, Dockerfile: "Dockerfile", Args: r.Args}, tell); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if !l.hasPrograms() {
		return nil
	}
	l.shelfMu.Lock() // another who has waited for the same build may have put it there meanwhile
	defer l.shelfMu.Unlock()
	if l.cfg.Shelf.Find(shelfName(r)) != "" {
		return nil
	}
	engine := l.cfg.Runtime.(masu.Extractor) // as was seen to
	tell(masu.Progress{Code: "editor_unpack"})
	from, to := io.Pipe()
	go func() { to.CloseWithError(engine.Extract(ctx, r.Ref, masu.EditorPath, to)) }()
	err := l.cfg.Shelf.Put(ctx, shelfName(r), from)
	from.CloseWithError(err)
	return err
}
