package lab

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

// shelf remembers what was put there.
type shelf struct {
	has  []string
	fail error
}

func (s *shelf) Find(name string) string {
	if slices.Contains(s.has, name) {
		return "/programs/" + name
	}
	return ""
}

func (s *shelf) Put(_ context.Context, name string, tar io.Reader) error {
	if _, err := io.Copy(io.Discard, tar); err != nil || s.fail != nil {
		return errors.Join(err, s.fail)
	}
	s.has = append(s.has, name)
	return nil
}

// The editor is made for the first workspace that asks for it, is there for the
// others, and is mounted into no box that does not ask.
func TestEditorOnceForAll(t *testing.T) {
	w := newWorld(t)
	plain := t.TempDir()
	w.project = func(dir string) masu.Project {
		p := masu.Project{Apps: masu.NamedApps("jupyter", "code")}
		if dir == plain {
			p.Apps = nil
		}
		return p
	}
	s := &shelf{}
	w.shelf = s
	l, stop := w.daemon()
	defer stop()
	alice := l.As(actor("alice"))
	builds := 0
	for _, c := range []struct {
		name, dir     string
		builds, mount int
	}{{"plain", plain, 1, 0}, {"first", t.TempDir(), 1, 1}, {"second", t.TempDir(), 0, 1}} {
		if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: c.dir, Name: c.name}); err != nil {
			t.Fatal(err)
		}
		ws := settled(t, alice, c.name)
		if ws.Phase != masu.Running {
			t.Fatalf("%s is %s: %+v", c.name, ws.Phase, ws.Trouble)
		}
		builds += c.builds
		if got := w.runtime.Builds(); got != builds {
			t.Errorf("%s: %d builds, want %d", c.name, got, builds)
		}
		box, _ := w.runtime.Started(ws.ID)
		var mounts []masu.Mount
		for _, m := range box.Mounts {
			if m.Program != "" {
				mounts = append(mounts, m)
			}
		}
		if len(mounts) != c.mount || c.mount > 0 && (mounts[0].Target != masu.EditorPath || mounts[0].Program != "/programs/"+s.has[0]) {
			t.Errorf("%s has %+v mounted", c.name, mounts)
		}
	}
}

// Where it can't be made, the workspace says so and what to do.
func TestEditorNotMade(t *testing.T) {
	w := newWorld(t)
	w.shelf = &shelf{}
	w.project = func(string) masu.Project { return masu.Project{Apps: masu.NamedApps("code")} }
	l, stop := w.daemon()
	defer stop()
	w.runtime.FailBuild(masu.E(masu.Invalid, "build_failed", 1, "RUN", 1))
	if err := l.editor(t.Context(), "alice", masu.Project{Apps: masu.NamedApps("code")}, func(masu.Progress) {}); masu.CodeOf(err) != "editor_failed" {
		t.Errorf("%v", err)
	}
	w.runtime.FailBuild(nil)
	full := errors.New("no room")
	w.shelf = &shelf{fail: full}
	l.cfg.Shelf = w.shelf
	if err := l.editor(t.Context(), "alice", masu.Project{Apps: masu.NamedApps("code")}, func(masu.Progress) {}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

// On a cluster the editor is an image, made once, that boxes get it out of; nothing is kept on this host.
func TestEditorOutOfAnImage(t *testing.T) {
	w := newWorld(t)
	s := &shelf{}
	w.shelf = s
	l, stop := w.daemon()
	stop()                                            // nothing else is to use its runtime
	l.cfg.Runtime = struct{ masu.Runtime }{w.runtime} // which offers nothing besides
	p := masu.Project{Apps: masu.NamedApps("code")}
	for range 2 {
		if err := l.editor(t.Context(), "alice", p, func(masu.Progress) {}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := l.editorRecipe()
	if got := l.editorMounts(p); err != nil || len(got) != 1 || got[0] != (masu.Mount{Program: string(r.Ref), Target: masu.EditorPath}) {
		t.Errorf("%+v, %v", got, err)
	}
	if w.runtime.Builds() != 1 || len(s.has) > 0 {
		t.Errorf("%d builds, on the shelf %v", w.runtime.Builds(), s.has)
	}
}
