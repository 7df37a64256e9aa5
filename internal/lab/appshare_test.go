package lab

import (
	"context"
	"testing"

	"github.com/masu-lab/masu"
)

// TestSharesEnd: when a share is taken back, by its owner, by a change of the app or by the rules, the sessions of
// those whom it let in end, and no others.
func TestSharesEnd(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	ctx := t.Context()
	wish := masu.AppWish{Name: "demo", Command: "serve", Port: 8501}
	demo := masu.AppShare{App: "demo", With: "bob", Port: 8501, Command: "serve"}
	forAll := masu.AppShare{App: "demo", Lab: true, Port: 8501, Command: "serve"}
	x := masu.Workspace{ID: "abcdefghijkl", Owner: "alice", Name: "a", Label: "a--alice", Phase: masu.Stopped, Guests: []masu.Username{"root"}}
	rules := func(r masu.Reach) func(masu.Service) error {
		return func(masu.Service) error {
			admin := actor("root")
			admin.Admin = true
			return l.As(admin).SetRules(ctx, masu.Rules{ShareApps: &r})
		}
	}
	for _, c := range []struct {
		what   string
		shares []masu.AppShare
		do     func(alice masu.Service) error
		bob    bool // is still in
	}{
		{"taken back", []masu.AppShare{demo}, func(s masu.Service) error { _, err := s.UnshareApp(ctx, "a", demo); return err }, false},
		{"of the lab, taken back", []masu.AppShare{forAll}, func(s masu.Service) error { _, err := s.UnshareApp(ctx, "a", forAll); return err }, false},
		{"not the lab's any more by the rules", []masu.AppShare{forAll}, rules(masu.ReachColleagues), false},
		{"still a colleague's by the rules", []masu.AppShare{demo}, rules(masu.ReachColleagues), true},
		{"nobody's by the rules", []masu.AppShare{demo}, rules(masu.ReachNobody), false},
	} {
		if err := rules(masu.ReachLab)(nil); err != nil {
			t.Fatal(err)
		}
		x.Project.Apps, x.Shares = []masu.AppWish{{Name: "jupyter"}, wish}, c.shares
		if err := w.store.Update(ctx, func(tx masu.Tx) error { return tx.PutWorkspace(x) }); err != nil {
			t.Fatal(err)
		}
		in := map[masu.Username]string{}
		for _, who := range []masu.Username{"alice", "bob", "root"} {
			secret, err := l.SignIn(ctx, masu.Session{User: who, For: x.ID})
			if err != nil {
				t.Fatal(err)
			}
			in[who] = secret
		}
		pages, err := l.SignIn(ctx, masu.Session{User: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(l.As(actor("alice"))); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		for who, secret := range in {
			if _, _, err := l.BySession(ctx, secret); (err == nil) != (who != "bob" || c.bob) {
				t.Errorf("%s: %s's session: %v", c.what, who, err)
			}
		}
		if _, _, err := l.BySession(ctx, pages); err != nil {
			t.Errorf("%s: he is signed out: %v", c.what, err)
		}
		if _, err := l.As(byPage("bob")).Workspace(context.WithoutCancel(ctx), "alice/a"); (err == nil) != c.bob {
			t.Errorf("%s: he sees it: %v", c.what, err)
		}
	}
}

func byPage(name masu.Username) masu.Actor {
	a := actor(name)
	a.Door = masu.DoorWeb
	return a
}
