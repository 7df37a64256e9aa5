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

// TestRegistries: members push to and pull from the registries that the house rules name, and to all where they name none.
func TestRegistries(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what  string
		named []string
		admin bool
		ref   masu.ImageRef
		ok    bool
	}{
		{"no rule", nil, false, "registry.example.org/lab/env:1", true},
		{"named", []string{"other.example.org", "Registry.example.org"}, false, "registry.example.org/lab/env:1", true},
		{"with its port", []string{"localhost:5000"}, false, "localhost:5000/env:1", true},
		{"another port", []string{"registry.example.org"}, false, "registry.example.org:5000/env:1", false},
		{"its name within another's", []string{"registry.example.org"}, false, "registry.example.org.evil.example/env:1", false},
		{"its name as a path", []string{"registry.example.org"}, false, "evil.example/registry.example.org/env:1", false},
		{"none at all", []string{}, false, "registry.example.org/env:1", false},
		{"an admin", []string{}, true, "registry.example.org/env:1", true},
	} {
		w.policy = func(p *Policy) { p.Registries = c.named }
		l, stop := w.daemon()
		who := actor("alice")
		who.Admin = c.admin
		push := l.As(who).PushImage(t.Context(), masu.Transfer{Name: "none", Ref: c.ref}, nil)
		_, pull := l.As(who).PullImage(t.Context(), masu.Transfer{Ref: c.ref}, nil)
		for _, err := range []error{push, pull} {
			if (masu.CodeOf(err) != "registry_forbidden") != c.ok || err == nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		stop()
	}
}
