package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// post is a notifier that keeps what it is given.
type post struct {
	got  chan masu.Notice
	fail chan error // one for each time that it shall fail
}

func newPost() *post { return &post{got: make(chan masu.Notice, 100), fail: make(chan error, 10)} }

func (p *post) Check(to masu.NotifyWish) error {
	if to.Webhook != "" && !strings.HasPrefix(to.Webhook, "http") {
		return masu.E(masu.Invalid, "webhook_wrong")
	}
	return nil
}

func (p *post) Notify(_ context.Context, to masu.NotifyWish, n masu.Notice) error {
	select {
	case err := <-p.fail:
		return err
	default:
	}
	p.got <- n
	return nil
}

func sayPlainly(lang masu.Lang, code string, args []string) string {
	if strings.HasSuffix(code, ".fix") {
		return ""
	}
	return fmt.Sprint(lang, " ", code, args)
}

// TestNotices: who wants to be told is told, once, in their language, also when
// the other side does not answer at first; nobody else is.
func TestNotices(t *testing.T) {
	w := newWorld(t)
	w.post = newPost()
	l, stop := w.daemon()
	defer stop()
	ctx := t.Context()
	alice, bob := l.As(actor("alice")), l.As(actor("bob"))
	boss := actor("boss")
	boss.Admin = true
	role := masu.RoleAdmin
	if err := l.As(boss).ChangeMember(ctx, "boss", masu.MemberChange{Role: &role}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []masu.Service{alice, l.As(boss)} {
		if err := s.SetNotices(ctx, masu.NotifyWish{Webhook: "https://chat.example/x", On: masu.Occasions()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := alice.SetLang(ctx, masu.English); err != nil {
		t.Fatal(err)
	}
	if err := bob.SetNotices(ctx, masu.NotifyWish{Webhook: "https://chat.example/x"}); err != nil { // an address, and no occasion
		t.Fatal(err)
	}
	expect := func(want ...string) {
		t.Helper()
		for range want {
			select {
			case n := <-w.post.got:
				got := fmt.Sprintf("%s %s %s", n.Member, n.Workspace, n.Title)
				found := false
				for i, x := range want {
					if x == got {
						want[i], found = "", true
						break
					}
				}
				if !found {
					t.Errorf("told %q, want one of %q", got, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("nobody was told: %q", want)
			}
		}
	}
	if err := l.As(boss).SetHouse(ctx, masu.House{Banner: "停電"}); err != nil {
		t.Fatal(err)
	}
	expect("alice  en notice_house[停電]", "boss  ja notice_house[停電]")
	ws := masu.Workspace{ID: "abcdefghijkl", Owner: "alice", Name: "bert", Label: "bert--alice", Phase: masu.Running}
	if err := w.store.Update(ctx, func(tx masu.Tx) error { return tx.PutWorkspace(ws) }); err != nil {
		t.Fatal(err)
	}
	l.fail(ctx, ws.ID, masu.E(masu.Full, "box_oom"))
	expect("alice bert en notice_failed[bert]")
	l.alert("disk_low", "/var", 1, 2)
	l.alert("disk_low", "/var", 1, 2) // again, at once
	l.alert("engine_away")
	expect("boss  ja disk_low[/var 1 2]", "boss  ja engine_away[]")
	if err := alice.TryNotices(ctx); err != nil {
		t.Error(err)
	}
	expect("alice  en notice_try[]")
	select {
	case n := <-w.post.got:
		t.Errorf("and also %+v", n)
	default:
	}
}

// TestNoticesAreTriedAgain, and given up.
func TestNoticesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.post = newPost()
		l, stop := w.daemon()
		defer stop()
		if err := l.As(actor("alice")).SetNotices(t.Context(), masu.NotifyWish{Mail: "a@b", On: masu.Occasions()}); err != nil {
			t.Fatal(err)
		}
		ended := notice{occasion: masu.OccasionEnded, workspace: masu.Workspace{Name: "bert", Phase: masu.Failed}}
		w.post.fail <- errors.New("busy")
		w.post.fail <- errors.New("busy")
		begun := time.Now()
		l.tell(t.Context(), "alice", ended)
		<-w.post.got
		if waited := time.Since(begun); waited < time.Minute {
			t.Errorf("it was tried three times in %s", waited)
		}
		for range len(noticeAgain) + 1 {
			w.post.fail <- errors.New("gone")
		}
		l.tell(t.Context(), "alice", ended)
		time.Sleep(time.Hour)
		if len(w.post.got) != 0 || len(w.post.fail) != 0 {
			t.Errorf("%d arrived, %d failures left", len(w.post.got), len(w.post.fail))
		}
	})
}
