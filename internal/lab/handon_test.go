package lab

import (
	"bytes"
	"testing"

	"github.com/masu-lab/masu"
)

// TestHandOn: a lock holds what is newest no more, and what one member loads serves that member alone, without a build.
func TestHandOn(t *testing.T) {
	w := newWorld(t)
	var lock *masu.Lock
	w.project = func(string) masu.Project {
		return masu.Project{Environment: masu.Environment{Preset: "python", Apt: []string{"tree"}, Lock: lock}}
	}
	l, stop := w.daemon()
	defer stop()
	dir := t.TempDir()
	alice, bert := l.As(actor("alice")), actor("bert")
	bert.UID = 30002
	made, err := alice.Lock(t.Context(), masu.BuildWish{Dir: dir}, nil)
	if err != nil || version(made) != "1.0" {
		t.Fatalf("%+v, %v", made, err)
	}
	w.runtime.Release("2.0")
	lock = &made
	builds := w.runtime.Builds()
	if _, err := alice.Build(t.Context(), masu.BuildWish{Dir: dir}, func(masu.Progress) {}); err != nil || w.runtime.Builds() != builds {
		t.Errorf("what is as the lock says was built again: %v", err)
	}
	if _, err := alice.Build(t.Context(), masu.BuildWish{Dir: dir, NoCache: true}, func(masu.Progress) {}); err != nil || w.runtime.Builds() == builds {
		t.Errorf("nothing was built: %v", err)
	}
	if c, err := alice.Contents(t.Context(), dir); err != nil || version(c.Lock) != "1.0" {
		t.Errorf("the lock gave %+v, %v", c.Lock, err)
	}
	var file bytes.Buffer
	if err := alice.SaveImage(t.Context(), dir, &file); err != nil {
		t.Fatal(err)
	}
	if _, err := l.As(bert).LoadImage(t.Context(), &file, nil); err != nil {
		t.Fatal(err)
	}
	said := func(s masu.Service) (handed bool) {
		if _, err := s.Build(t.Context(), masu.BuildWish{Dir: dir}, func(p masu.Progress) { handed = handed || p.Code == "image_handed" }); err != nil {
			t.Error(err)
		}
		return handed
	}
	if !said(l.As(bert)) || said(alice) {
		t.Error("what bert loaded serves not bert alone")
	}
	stale := made
	stale.Environment = "000000000000"
	lock = &stale
	if _, err := alice.Build(t.Context(), masu.BuildWish{Dir: dir}, func(masu.Progress) {}); masu.CodeOf(err) != "lock_stale" {
		t.Errorf("a lock for something else: %v", err)
	}
	if plan, err := alice.Read(t.Context(), dir); err != nil || plan.Notes[len(plan.Notes)-1].Code != "lock_stale" {
		t.Errorf("%+v, %v", plan.Notes, err)
	}
}

func version(l masu.Lock) string {
	for _, p := range l.Packages {
		if p.Name == "tree" {
			return p.Version
		}
	}
	return ""
}
