package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestNearlyFullDisk: nothing new begins, everything that runs or ends goes on,
// and with room again so do starts.
func TestNearlyFullDisk(t *testing.T) {
	w := newWorld(t)
	var free atomic.Int64
	free.Store(int64(100 * masu.GiB))
	w.room = func(string) (masu.Bytes, masu.Bytes, error) { return masu.Bytes(free.Load()), 200 * masu.GiB, nil }
	l, stop := w.daemon()
	defer stop()
	s := l.As(actor("alice"))
	dir := t.TempDir()
	up := masu.UpRequest{Dir: dir, Name: "work"}
	if _, err := s.Up(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	settled(t, s, "work")
	free.Store(int64(masu.MiB))
	if ws, err := s.Up(t.Context(), up); err != nil || ws.Phase != masu.Running {
		t.Errorf("what runs was refused: %+v, %v", ws, err)
	}
	_, upErr := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "other"})
	_, runErr := s.Run(t.Context(), masu.RunRequest{Dir: dir, Exec: masu.Exec{Argv: []string{"true"}}}, func(masu.Progress) {})
	_, buildErr := s.Build(t.Context(), masu.BuildWish{Dir: dir}, func(masu.Progress) {})
	for what, err := range map[string]error{"up": upErr, "run": runErr, "build": buildErr} {
		if masu.KindOf(err) != masu.Full || masu.CodeOf(err) != "disk_low" || !strings.Contains(err.Error(), "/state") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if all := w.workspaces(); len(all) != 1 {
		t.Errorf("the refused one was written down: %+v", all)
	}
	if _, err := s.Stop(t.Context(), "work"); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := s.Remove(t.Context(), "work"); err != nil {
		t.Errorf("rm: %v", err)
	}
	free.Store(int64(100 * masu.GiB))
	if _, err := s.Up(t.Context(), up); err != nil {
		t.Errorf("with room again: %v", err)
	}
	settled(t, s, "work")
}

// TestOneBuildEach: a member's second build waits for the first and says so;
// another member's does not. One that lasts too long is ended, and says why.
func TestOneBuildEach(t *testing.T) {
	w := newWorld(t)
	w.project = func(dir string) masu.Project {
		return masu.Project{Environment: masu.Environment{Preset: "python", Apt: []string{filepath.Base(dir)}}} // none is like another
	}
	w.policy = func(p *Policy) { p.BuildsAtOnce, p.BuildWithin = 2, time.Minute }
	l, stop := w.daemon()
	defer stop()
	build := func(ctx context.Context, who masu.Username, n string) (said chan string, done chan error) {
		said, done = make(chan string, 1000), make(chan error, 1)
		dir := filepath.Join(t.TempDir(), n)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := l.As(actor(who)).Build(ctx, masu.BuildWish{Dir: dir}, func(p masu.Progress) {
				select {
				case said <- p.Code:
				default:
				}
			})
			close(said)
			done <- err
		}()
		return said, done
	}
	release := w.runtime.BlockBuild()
	_, first := build(t.Context(), "alice", "one")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		n := len(l.making)
		l.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the first does not begin")
		}
	}
	waiting, second := build(t.Context(), "alice", "two")
	for code := range waiting {
		if code == "build_waits" {
			break
		}
	}
	release()
	_, others := build(t.Context(), "bob", "three")
	for what, done := range map[string]chan error{"first": first, "second": second, "another's": others} {
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	l.cfg.Policy.BuildWithin = time.Millisecond
	defer w.runtime.BlockBuild()()
	_, long := build(t.Context(), "carol", "four")
	if err := <-long; masu.KindOf(err) != masu.Full || masu.CodeOf(err) != "build_too_long" {
		t.Errorf("a build without an end: %v", err)
	}
}

// TestFullAtNight: a disk that fills up while nobody starts anything is told of
// once, on an admin's first page as well, and again only after there was room.
func TestFullAtNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.post = newPost()
		var free atomic.Int64
		free.Store(int64(100 * masu.GiB))
		w.room = func(string) (masu.Bytes, masu.Bytes, error) { return masu.Bytes(free.Load()), 200 * masu.GiB, nil }
		w.policy = func(p *Policy) { p.SpareState, p.SpareEngine = 10*masu.GiB, 0 }
		l, stop := w.daemon()
		defer stop()
		alice, boss := actor("alice"), actor("boss")
		boss.Admin = true
		role := masu.RoleAdmin
		if err := l.As(boss).ChangeMember(t.Context(), "boss", masu.MemberChange{Role: &role}); err != nil {
			t.Fatal(err)
		}
		if err := l.As(boss).SetNotices(t.Context(), masu.NotifyWish{Webhook: "https://chat.example/x", On: masu.Occasions()}); err != nil {
			t.Fatal(err)
		}
		notes := func(a masu.Actor) int {
			hello, err := l.As(a).Whoami(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(hello.Notes)
		}
		for i, c := range []struct {
			free       masu.Bytes
			told, seen int
		}{{100 * masu.GiB, 0, 0}, {9 * masu.GiB, 1, 1}, {8 * masu.GiB, 0, 1}, {10*masu.GiB + 1, 0, 1}, {9 * masu.GiB, 0, 1}, {20 * masu.GiB, 0, 0}, {9 * masu.GiB, 1, 1}} {
			free.Store(int64(c.free))
			time.Sleep(2 * sampleEvery)
			synctest.Wait()
			if len(w.post.got) != c.told || notes(boss) != c.seen || notes(alice) != 0 {
				t.Errorf("%d, with %s: told %d times, %d notes for an admin, %d for others", i, c.free, len(w.post.got), notes(boss), notes(alice))
			}
			for range len(w.post.got) {
				if n := <-w.post.got; n.Occasion != masu.OccasionServer {
					t.Errorf("told %+v", n)
				}
			}
		}
	})
}
