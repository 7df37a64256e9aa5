package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

func TestEnvironments(t *testing.T) {
	alice := masu.User{Name: "alice", UID: 30001}
	images := []masu.Image{
		{ID: "torch", Size: 8 * masu.GiB}, {ID: "old", Size: 8 * masu.GiB},
		{ID: "loaded", Size: 3 * masu.GiB, Refs: []masu.ImageRef{"masu/of-30001:abc"}},
		{ID: "bob's", Size: masu.GiB, Refs: []masu.ImageRef{"masu/of-300010:abc"}},
	}
	of := func(owner masu.Username, image string) masu.Workspace {
		return masu.Workspace{Owner: owner, Image: image}
	}
	for name, c := range map[string]struct {
		all  []masu.Workspace
		want masu.Bytes
	}{
		"nothing but what was loaded": {nil, 3 * masu.GiB},
		"two of one environment":      {[]masu.Workspace{of("alice", "torch"), of("alice", "torch")}, 11 * masu.GiB},
		"loaded and used":             {[]masu.Workspace{of("alice", "loaded")}, 3 * masu.GiB},
		"another's":                   {[]masu.Workspace{of("bob", "torch"), of("bob", "bob's")}, 3 * masu.GiB},
		"built never, or gone":        {[]masu.Workspace{of("alice", ""), of("alice", "removed")}, 3 * masu.GiB},
	} {
		if got := environments(alice, images, c.all); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestEnvironmentsFull: who keeps as much as they may builds nothing new, and
// goes on with all that is there; others build.
func TestEnvironmentsFull(t *testing.T) {
	w := newWorld(t)
	w.project = func(dir string) masu.Project {
		return masu.Project{Environment: masu.Environment{Preset: "python", Apt: []string{filepath.Base(dir)}}}
	}
	w.policy = func(p *Policy) { p.ImagesPerMember = masu.MiB }
	l, stop := w.daemon()
	defer stop()
	folder := func(name string) string {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	build := func(who masu.Username, dir string) error {
		_, err := l.As(actor(who)).Build(t.Context(), masu.BuildWish{Dir: dir}, func(masu.Progress) {})
		return err
	}
	s, used, other := l.As(actor("alice")), folder("used"), folder("other")
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: used, Name: "work"}); err != nil {
		t.Fatal(err)
	}
	settled(t, s, "work")
	builds := w.runtime.Builds()
	if err := build("alice", other); masu.CodeOf(err) != "environments_full" || masu.KindOf(err) != masu.Full || w.runtime.Builds() != builds {
		t.Errorf("a second one: %v", err)
	}
	for who, dir := range map[masu.Username]string{"alice": used, "bob": other} {
		if err := build(who, dir); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	if err := build("alice", other); err != nil {
		t.Errorf("what is there already: %v", err)
	}
	none := masu.Bytes(0)
	w.sets("bob", masu.MemberLimits{Images: &none})
	if err := build("bob", folder("fourth")); masu.CodeOf(err) != "environments_full" {
		t.Errorf("who may keep none: %v", err)
	}
	if err := s.Remove(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	if err := build("alice", folder("third")); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestLoadedImagesStay: what a member has loaded is thrown away by no other member.
func TestLoadedImagesStay(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	bert, boss := actor("bert"), actor("boss")
	bert.UID, boss.UID, boss.Admin = 30002, 30003, true
	alice := l.As(actor("alice"))
	for _, c := range []struct {
		name string
		by   masu.Service
		gone bool
	}{{"another member", alice, false}, {"an admin", l.As(boss), true}, {"who has loaded it", l.As(bert), true}} {
		id := w.runtime.AddImage("masu/of-30002:0123456789ab", map[string]string{"masu.environment": "0123456789ab"})
		dry, err := c.by.PruneImages(t.Context(), true)
		if listed := slices.ContainsFunc(dry, func(u masu.ImageUse) bool { return u.ID == id }); err != nil || listed != c.gone {
			t.Errorf("%s prunes it: %v, %v", c.name, listed, err)
		}
		if err := c.by.RemoveImage(t.Context(), masu.ImageRef(id)); (err == nil) != c.gone || !c.gone && masu.CodeOf(err) != "image_not_yours" {
			t.Errorf("%s removes it: %v", c.name, err)
		}
	}
}
