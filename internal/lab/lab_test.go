package lab

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
	"github.com/masu-lab/masu/internal/sshd"
)

// world is what a lab lives on; it outlives the lab, as a host outlives a daemon.
type world struct {
	t       *testing.T
	store   masu.Store
	runtime *masutest.FakeRuntime
	dir     string // a folder
	state   string // the folder of the records
	gpuMu   sync.Mutex
	gpus    []masu.GPU
	gpuErr  error
	reads   map[masu.GPUID]masu.Reading
	post    *post
	project func(dir string) masu.Project // what a folder asks for
	lab     *Lab                          // the newest
	room    func(string) (free, total masu.Bytes, err error)
	policy  func(*Policy)
	keys    keyFiles
	shelf   Shelf
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), store: masutest.NewStore(), post: newPost(), runtime: masutest.NewRuntime(), project: func(string) masu.Project { return masu.Project{} }}
	w.runtime.AddImage("debian:trixie-slim", nil)
	return w
}

// daemon starts a lab on the world; stop ends it as its death would.
func (w *world) daemon() (l *Lab, stop func()) {
	w.t.Helper()
	policy := DefaultPolicy(masu.Host{CPUs: 2})
	if w.policy != nil {
		w.policy(&policy)
	}
	l, err := New(Config{
		Room: w.room, Shelf: w.shelf, State: cmp.Or(w.state, "/state"), Usage: func() (masu.Usage, error) {
			return masu.Usage{CPU: masu.Fill{Used: 1, Total: 2}, Memory: masu.Fill{Used: 1, Total: 4}}, nil
		},
		Store: w.store, Runtime: w.runtime, Inventory: w, Accounts: accounts{}, Folders: folders{}, Origins: origins{},
		Read: func(f masu.Folder, preset string) (masu.Project, error) {
			p := w.project(f.Dir())
			p.Dir = f.Dir()
			if _, err := f.Stat("masu.yaml"); err == nil {
				p.Source = "masu.yaml"
			}
			if p.Environment.Preset == "" {
				p.Environment.Preset = "python"
			}
			return p, nil
		},
		ReadKeys: sshd.ReadKeys, KeyFile: w.keyFile,
		Context: func(masu.Folder, string, string) (fs.FS, int64, error) {
			return nil, 0, errors.New("no Dockerfile here")
		},
		NameFor: func(string) string { return "work" }, Notifier: w.post, Say: sayPlainly, Keep: keep, SetApps: setApps, Text: func(masu.Environment, ...string) (string, error) { return "preset: python\n", nil },
		Host:   func(context.Context) masu.Host { return masu.Host{CPUs: 2, Memory: 8 * masu.GiB, Arch: "amd64"} },
		Policy: policy, Version: "test", HostName: "host", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.lab = l
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	return l, func() { cancel(); <-done }
}

func (w *world) GPUs(context.Context) ([]masu.GPU, error) {
	w.gpuMu.Lock()
	defer w.gpuMu.Unlock()
	return w.gpus, w.gpuErr
}

// Readings makes the world a masu.Meter.
func (w *world) Readings(context.Context) (list []masu.Reading, err error) {
	w.gpuMu.Lock()
	defer w.gpuMu.Unlock()
	for _, r := range w.reads {
		list = append(list, r)
	}
	return list, nil
}

// plug changes what the host has.
func (w *world) plug(change func()) {
	w.gpuMu.Lock()
	defer w.gpuMu.Unlock()
	change()
}

func (w *world) Driver(context.Context) (string, error) { return "", nil }
func (w *world) leases() (held []masu.Lease) {
	w.view(func(tx masu.Tx) (err error) { held, err = tx.Leases(); return err })
	return held
}
func (w *world) workspaces() (all []masu.Workspace) {
	w.view(func(tx masu.Tx) (err error) { all, err = tx.Workspaces(); return err })
	return all
}
func (w *world) view(f func(masu.Tx) error) {
	w.t.Helper()
	if err := w.store.View(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// keep writes the masu.yaml of a folder that said nothing.
func keep(_ masu.Folder, _ string, l masu.Layer) ([]masu.File, error) {
	return []masu.File{{Path: "masu.yaml", Text: "apt:\n  - " + strings.Join(l.Apt, "\n  - ") + "\n"}}, nil
}

func setApps(_ masu.Folder, _ string, apps []masu.AppWish) ([]masu.File, error) {
	var text strings.Builder
	for _, a := range apps {
		text.WriteString("# app " + a.Name + "\n")
	}
	return []masu.File{{Path: "masu.yaml", Text: text.String()}}, nil
}

type accounts struct{}

func (accounts) ByUID(uid int) (masu.User, error) {
	if uid >= 30000 {
		return masu.User{Name: "alice", UID: uid, GID: uid, Home: "/home/alice"}, nil
	}
	return masu.User{}, masu.E(masu.NotFound, "no_account")
}

func (accounts) All() ([]masu.User, error) {
	return []masu.User{{Name: "suite-b", UID: 30996}}, nil
}

func (accounts) ByName(n masu.Username) (masu.User, error) {
	if n == "nobody-known" {
		return masu.User{}, masu.E(masu.NotFound, "no_account")
	}
	u := masu.User{Name: n, UID: 30001, GID: 30001, Home: "/home/" + string(n)}
	if n == "fresher" {
		u.Groups = []masu.Group{{Name: "b4"}}
	}
	return u, nil
}

// folders are real ones, without a check of the owner.
type folders struct{}

type folder struct {
	fs.FS
	dir string
}

func (folders) OpenFolder(_ masu.User, dir string) (masu.Folder, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, masu.E(masu.Invalid, "folder_not_found", dir)
	}
	return folder{os.DirFS(dir), dir}, nil
}
func (folders) MakeFolder(_ masu.User, dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		return masu.E(masu.Conflict, "folder_exists", dir)
	case errors.Is(err, fs.ErrNotExist):
		return masu.E(masu.Invalid, "folder_not_found", dir)
	}
	return err
}
func (folders) WriteFile(_ masu.User, dir, name string, data []byte) error {
	return os.WriteFile(filepath.Join(dir, name), data, 0o644)
}
func (f folder) Dir() string                             { return f.dir }
func (f folder) Close() error                            { return nil }
func (f folder) Stat(n string) (fs.FileInfo, error)      { return fs.Stat(f.FS, n) }
func (f folder) ReadDir(n string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, n) }

type origins struct{}

func (origins) Pages() string { return "http://localhost:8888" }
func (origins) App(w masu.Workspace, app string) (string, error) {
	return "http://" + w.Label + ".localhost:8888", nil
}

func actor(name masu.Username) masu.Actor {
	return masu.Actor{User: masu.User{Name: name, UID: 30001, GID: 30001, Home: "/home/" + string(name)}, Door: masu.DoorSocket}
}

func TestService(t *testing.T) {
	w := newWorld(t)
	w.gpus, w.state = masutest.SuiteGPUs(), t.TempDir()
	l, stop := w.daemon()
	defer stop()
	masutest.Service(t, func(t *testing.T, a masu.Actor) masu.Service { return l.As(a) })
}

// settled waits until the workspace of that name has settled.
func settled(t *testing.T, s masu.Service, name string) masu.Workspace {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		for range s.Watch(t.Context(), name) {
		}
		w, err := s.Workspace(t.Context(), name)
		if err == nil && w.Phase.Settled() {
			return w
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not settle: %+v, %v", w, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestKilledAtAnyStep is the rule of the reconciler: a daemon that dies at any
// step of a start leaves no orphan, no lease without a running box, and a
// workspace that settles and can be started again.
func TestKilledAtAnyStep(t *testing.T) {
	for _, step := range []string{"build", "start", "running"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.gpus = []masu.GPU{{ID: "GPU-1", Model: "A100", Memory: 80 * masu.GiB}}
			w.project = func(string) masu.Project { return masu.Project{Want: masu.Want{Count: 1}} }
			release := func() {}
			switch step {
			case "build":
				release = w.runtime.BlockBuild()
			case "start":
				release = w.runtime.BlockStart()
			}
			l, stop := w.daemon()
			s := l.As(actor("alice"))
			dir := t.TempDir()
			if _, err := s.Up(t.Context(), masu.UpRequest{Dir: dir, Name: "work"}); err != nil {
				t.Fatal(err)
			}
			want := map[string]masu.Phase{"build": masu.Building, "start": masu.Starting, "running": masu.Running}[step]
			for deadline := time.Now().Add(10 * time.Second); w.workspaces()[0].Phase != want; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it is %s, not yet %s", w.workspaces()[0].Phase, want)
				}
			}
			stop()
			release()

			l, stop = w.daemon()
			defer stop()
			s = l.As(actor("alice"))
			after := settled(t, s, "work")
			if step == "running" && after.Phase != masu.Running {
				t.Errorf("a running workspace did not outlive the daemon: %+v", after)
			}
			if step != "running" && (after.Phase != masu.Failed || after.Trouble.Code != "interrupted") {
				t.Errorf("it is %s, %+v", after.Phase, after.Trouble)
			}
			boxes, err := w.runtime.Boxes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			alive := slices.ContainsFunc(boxes, func(b masu.BoxStatus) bool { return b.State == masu.BoxRunning })
			if alive != (after.Phase == masu.Running) || (len(w.leases()) > 0) != alive {
				t.Errorf("%s: box alive %v, leases %+v", after.Phase, alive, w.leases())
			}
			if _, err := s.Up(t.Context(), masu.UpRequest{Dir: dir, Name: "work"}); err != nil {
				t.Fatal(err)
			}
			if again := settled(t, s, "work"); again.Phase != masu.Running || len(w.leases()) != 1 {
				t.Errorf("trying again: %s, %+v, leases %+v", again.Phase, again.Trouble, w.leases())
			}
		})
	}
}

// TestWhyItEnded: each way in which a box can end has its own words.
func TestWhyItEnded(t *testing.T) {
	for _, c := range []struct {
		code  string
		phase masu.Phase
		end   func(w *world, id masu.WorkspaceID)
	}{
		{"box_gone", masu.Stopped, func(w *world, id masu.WorkspaceID) { w.runtime.Vanish(id) }},
		{"out_of_memory", masu.Failed, func(w *world, id masu.WorkspaceID) { w.runtime.Die(id, 137, true) }},
		{"box_died", masu.Failed, func(w *world, id masu.WorkspaceID) { w.runtime.Die(id, 3, false) }},
		{"box_ended", masu.Stopped, func(w *world, id masu.WorkspaceID) { w.runtime.Die(id, 0, false) }},
		{"box_ended", masu.Stopped, func(w *world, id masu.WorkspaceID) { w.runtime.Die(id, 137, false) }},
		{"engine_restarted", masu.Stopped, func(w *world, id masu.WorkspaceID) {
			w.runtime.Unreachable(true)
			for s := w.lab.As(actor("alice")); ; time.Sleep(time.Millisecond) { // until it is noticed, as it is in the seconds that a restart takes
				if h, err := s.Whoami(w.t.Context()); err != nil || len(h.Notes) > 0 {
					break
				}
			}
			w.runtime.Die(id, 137, false)
			w.runtime.Unreachable(false)
		}},
	} {
		t.Run(c.code, func(t *testing.T) {
			w := newWorld(t)
			l, stop := w.daemon()
			defer stop()
			s := l.As(actor("alice"))
			if _, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "work"}); err != nil {
				t.Fatal(err)
			}
			before := settled(t, s, "work")
			c.end(w, before.ID)
			for got, err := range s.Changes(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if got.ID == before.ID && got.Phase.Settled() && got.Phase != masu.Running {
					if got.Phase != c.phase || got.Trouble == nil || got.Trouble.Code != c.code {
						t.Errorf("it is %s, %+v", got.Phase, got.Trouble)
					}
					return
				}
			}
		})
	}
}

// TestLostStore: the engine is the truth for what runs.
func TestLostStore(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	s := l.As(actor("alice"))
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "thesis"}); err != nil {
		t.Fatal(err)
	}
	before := settled(t, s, "thesis")
	stop()
	w.store = masutest.NewStore()
	l, stop = w.daemon()
	defer stop()
	for got, err := range l.As(actor("alice")).Changes(t.Context()) {
		if err != nil || got.ID == before.ID && got.Phase == masu.Running && got.Name == "thesis" {
			return
		}
	}
}

func TestLabelsFitHostNames(t *testing.T) {
	for _, c := range []struct {
		name, want string
		owner      masu.Username
	}{
		{"thesis", "thesis--alice", "alice"},
		{"bert-2", "bert-2--y-amada", "y_amada"},
		{"x", "x--u", "___"},
		{strings.Repeat("a", 30), strings.Repeat("a", 30) + "--" + strings.Repeat("b", 27), masu.Username(strings.Repeat("b", 40))},
	} {
		if got := label(c.name, c.owner, map[string]bool{}); got != c.want || len("tensorboard--"+got) > 72 {
			t.Errorf("label(%q, %q) = %q, want %q", c.name, c.owner, got, c.want)
		}
	}
	if got := label("thesis", "a_b", map[string]bool{"thesis--a-b": true}); got != "thesis--a-b-2" {
		t.Errorf("a second member of that label: %q", got)
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	ctx := t.Context()
	s := l.As(actor("alice"))
	for _, c := range []struct{ password, code string }{
		{"short", "password_short"}, {"          ", "password_blank"}, {strings.Repeat("x", 2000), "password_long"}, {"correct horse", ""}, {"", ""}, {"パスワードです八文字", ""},
	} {
		if err := s.SetPassword(ctx, c.password); c.code == "" && err != nil || c.code != "" && masu.CodeOf(err) != c.code {
			t.Errorf("SetPassword(%.10q…) = %v, want %q", c.password, err, c.code)
		}
	}
	if _, err := l.ByPassword(ctx, "alice", "パスワードです八文字", addr("10.0.0.1")); err != nil {
		t.Errorf("the right password: %v", err)
	}
	wrongs := map[string]bool{}
	for range 20 {
		_, err := l.ByPassword(ctx, "alice", "wrong password", addr("10.0.0.2"))
		wrongs[masu.CodeOf(err)] = true
	}
	if !wrongs["signin_wrong"] || !wrongs["signin_too_often"] {
		t.Errorf("twenty wrong ones gave %v", wrongs)
	}
	if _, err := l.ByPassword(ctx, "bob", "whatever it is", addr("10.0.0.3")); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("another account from elsewhere: %v", err)
	}
	if err := s.SetPassword(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ByPassword(ctx, "carol", "", addr("10.0.0.4")); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("an empty password signs in where none is set: %v", err)
	}
}

func TestLinksAndSessions(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	ctx := t.Context()
	link, err := l.As(actor("alice")).Link(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(link.URL, "code=")
	u, _, err := l.ByLink(ctx, code)
	if err != nil || u.Name != "alice" {
		t.Fatalf("a fresh link: %v, %v", u, err)
	}
	if _, _, err := l.ByLink(ctx, code); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("a used link: %v", err)
	}
	cookie, err := l.SignIn(ctx, masu.Session{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := l.BySession(ctx, cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Update(ctx, func(tx masu.Tx) error {
		return tx.PutWorkspace(masu.Workspace{ID: "abcdefghijkl", Owner: "alice", Name: "a", Label: "a--alice", Phase: masu.Stopped})
	}); err != nil {
		t.Fatal(err)
	}
	enter, err := l.EnterLink(ctx, session, "abcdefghijkl", "/lab")
	if err != nil {
		t.Fatal(err)
	}
	_, entered, err := l.ByLink(ctx, enter)
	if err != nil || entered.For != "abcdefghijkl" || entered.Parent != session.Hash {
		t.Fatalf("entering: %+v, %v", entered, err)
	}
	child, err := l.SignIn(ctx, masu.Session{User: "alice", For: entered.For, Parent: entered.Parent})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 4)
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	joined := make(chan struct{})
	go func() {
		close(joined)
		for e := range l.Ended(listening) {
			ended <- e.Session
		}
	}()
	<-joined
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // until the listener is in
		l.gate.mu.Lock()
		n := len(l.gate.ended)
		l.gate.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody listens")
		}
	}
	if err := l.SignOut(ctx, cookie); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-ended
	}
	for _, c := range []string{cookie, child} {
		if _, _, err := l.BySession(ctx, c); masu.CodeOf(err) != "signin_wrong" {
			t.Errorf("after sign-out: %v", err)
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// Whoever has no password costs a sign-in the same work as one who has, so that nobody can tell by the clock.
func TestDecoyIsWork(t *testing.T) {
	h := newHasher()
	parameters := func(hash string) []string { return strings.Split(hash, "$")[:4] }
	if got, want := parameters(h.decoy), parameters(phc("anything")); !slices.Equal(got, want) || len(h.decoy) != len(phc("anything")) {
		t.Errorf("the decoy is %q, a hash begins with %q", h.decoy, want)
	}
	if ok, err := h.check(t.Context(), "", ""); ok || err != nil {
		t.Errorf("nobody's password fits: %v, %v", ok, err)
	}
}
