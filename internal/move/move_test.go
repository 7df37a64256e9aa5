package move

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// cluster is a target that reaches /home, and may break off while a volume comes.
type cluster struct {
	*masutest.FakeRuntime
	breaks error
	came   []string
}

func (c *cluster) Reaches(_ context.Context, folder string) error {
	if strings.HasPrefix(folder, "/home/") {
		return nil
	}
	return masu.E(masu.Invalid, "folder_not_shared", folder)
}

func (c *cluster) UnpackVolume(ctx context.Context, v masu.Volume, tar io.Reader) error {
	if c.breaks != nil {
		err := c.FakeRuntime.UnpackVolume(ctx, v, io.LimitReader(tar, 512))
		return errors.Join(err, c.breaks)
	}
	c.came = append(c.came, v.Name)
	return c.FakeRuntime.UnpackVolume(ctx, v, tar)
}

type accounts map[masu.Username]masu.User

func (a accounts) ByUID(int) (masu.User, error) {
	return masu.User{}, masu.E(masu.NotFound, "no_account")
}
func (a accounts) All() ([]masu.User, error) { return nil, nil }
func (a accounts) ByName(n masu.Username) (masu.User, error) {
	if u, ok := a[n]; ok {
		return u, nil
	}
	return masu.User{}, masu.E(masu.NotFound, "no_account", n)
}

type rig struct {
	*testing.T
	from  *masutest.FakeRuntime
	to    *cluster
	store *masutest.FakeStore
	cfg   Config
}

func newRig(t *testing.T) *rig {
	from, to := masutest.NewRuntime(), masutest.NewRuntime()
	t.Cleanup(func() {
		if err := errors.Join(from.Close(), to.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{T: t, from: from, to: &cluster{FakeRuntime: to}, store: masutest.NewStore()}
	r.cfg = Config{From: from, To: r.to, Store: r.store, Accounts: accounts{"mori": {Name: "mori", UID: 1001, GID: 1001}},
		Journal: filepath.Join(t.TempDir(), "migrate.json"), At: "cluster", OneOwner: true}
	return r
}

// workspace makes one that has run here and was stopped, with a file in its home; change may make it another one.
func (r *rig) workspace(id masu.WorkspaceID, change func(*masu.Workspace)) masu.Box {
	r.Helper()
	w := masu.Workspace{ID: id, Owner: "mori", Name: "ws-" + string(id), Label: string(id) + "--mori", Phase: masu.Stopped,
		Project: masu.Project{Dir: "/home/mori/" + string(id)}, Image: r.from.AddImage(masu.ImageRef("masu/env:"+string(id)), map[string]string{"masu.environment": string(id)})}
	if change != nil {
		change(&w)
	}
	if err := r.store.Update(r.Context(), func(tx masu.Tx) error { return tx.PutWorkspace(w) }); err != nil {
		r.Fatal(err)
	}
	home := "/home/" + string(w.Owner)
	b := masu.Box{ID: id, Name: w.Name, Owner: masu.User{Name: w.Owner}, Image: w.Image,
		Mounts: []masu.Mount{{Volume: "masu-home-" + string(id), Target: home}}, Agent: masu.AgentSpec{User: masu.User{Name: w.Owner, Home: home}}}
	if w.Image == "" {
		return b
	}
	r.run(r.from, b, "echo "+string(id)+" > "+home+"/kept")
	return b
}

// run starts a box, has it do something, and stops it.
func (r *rig) run(at masu.Runtime, b masu.Box, script string) string {
	r.Helper()
	if err := at.Start(r.Context(), b); err != nil {
		r.Fatal(err)
	}
	var out bytes.Buffer
	if code, err := at.Exec(r.Context(), b.ID, masu.Exec{Argv: []string{"sh", "-c", script}, Stdout: &out}); err != nil || code != 0 {
		r.Fatalf("%s: %d, %v", script, code, err)
	}
	if err := at.Stop(r.Context(), b.ID, 0); err != nil {
		r.Fatal(err)
	}
	return out.String()
}

// move plans and carries as a masu does that was just begun.
func (r *rig) move() (Plan, error) {
	r.Helper()
	m, p := r.plan()
	return m.Carry(r.Context(), p, func(Step) {})
}

func (r *rig) plan() (*Move, Plan) {
	r.Helper()
	m, err := New(r.cfg)
	if err != nil {
		r.Fatal(err)
	}
	p, err := m.Plan(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return m, p
}

// want fails the test unless the workspace fares so; code is why.
func (r *rig) want(p Plan, id masu.WorkspaceID, fate Fate, code string) Step {
	r.Helper()
	for _, s := range p.Steps {
		if s.ID != id {
			continue
		}
		got := ""
		if s.Why != nil {
			got = s.Why.Code
		}
		if s.Fate != fate || got != code {
			r.Errorf("%s %s %q, want %s %q", id, s.Fate, got, fate, code)
		}
		return s
	}
	r.Errorf("%s is not in the plan", id)
	return Step{}
}

func TestMove(t *testing.T) {
	r := newRig(t)
	b := r.workspace("one", nil)
	_, p := r.plan()
	if s := r.want(p, "one", Moves, ""); s.Image != Carried || s.Home != masu.Bytes(len("one\n")) || len(s.Volumes) != 1 {
		r.Errorf("the plan is %+v", s)
	}
	if names, err := r.to.Volumes(r.Context(), "one"); err != nil || len(names) > 0 {
		r.Errorf("a plan has made %v, %v", names, err)
	}
	p, err := r.move()
	if err != nil || p.Left() != 0 {
		r.Fatalf("%+v, %v", p, err)
	}
	r.want(p, "one", Moved, "")
	img, err := r.to.Image(r.Context(), "masu/env:one")
	if err != nil || img.Labels["masu.environment"] != "one" {
		r.Fatalf("its image there: %+v, %v", img, err)
	}
	if err := r.store.View(r.Context(), func(tx masu.Tx) error {
		w, err := tx.Workspace("one")
		if w.Image != img.ID || w.Phase != masu.Stopped {
			r.Errorf("the record says %q, %s", w.Image, w.Phase)
		}
		if all, _ := tx.FindEvents(masu.EventQuery{Verb: "migrate", Limit: 9}); len(all) != 1 || all[0].Object != "mori/ws-one" {
			r.Errorf("the audit log has %+v", all)
		}
		return err
	}); err != nil {
		r.Fatal(err)
	}
	if !r.from.HasVolume("masu-home-one") {
		r.Error("the home was taken away where it came from")
	}
	b.Image = img.ID
	if out := r.run(r.to, b, "cat /home/mori/kept"); out != "one\n" {
		r.Errorf("the home there says %q", out)
	}
	p, err = r.move() // it lives there now: its home is not touched again
	if r.want(p, "one", Moved, ""); err != nil || len(r.to.came) != 1 {
		r.Errorf("moved again: %v, %v", r.to.came, err)
	}
}

func TestWhatStays(t *testing.T) {
	r := newRig(t)
	r.cfg.Room = 10
	running := r.workspace("runs", nil)
	if err := r.from.Start(r.Context(), running); err != nil {
		t.Fatal(err)
	}
	r.workspace("adopted", func(w *masu.Workspace) {
		w.Adopted, w.Image = &masu.Adoption{Container: "old"}, ""
	})
	r.workspace("services", func(w *masu.Workspace) { w.Project.Sides = []masu.SideBox{{}} })
	r.workspace("elsewhere", func(w *masu.Workspace) { w.Project.Dir = "/scratch/x" })
	r.workspace("gone", func(w *masu.Workspace) { w.Owner = "nobody" })
	r.run(r.from, r.workspace("large", nil), "echo 0123456789 > /home/mori/kept")
	if err := r.to.FakeRuntime.UnpackVolume(r.Context(), masu.Volume{Name: "masu-home-taken", Of: "taken"}, bytes.NewReader(make([]byte, 1024))); err != nil {
		t.Fatal(err)
	}
	r.workspace("taken", nil)
	r.workspace("fresh", func(w *masu.Workspace) { w.Image = "" })
	job := masu.Box{ID: "job", Run: true, Owner: masu.User{Name: "mori"}, Image: running.Image}
	if err := r.from.Start(r.Context(), job); err != nil {
		t.Fatal(err)
	}
	p, err := r.move()
	if err != nil {
		t.Fatal(err)
	}
	for id, why := range map[masu.WorkspaceID]string{"runs": "move_runs", "adopted": "move_adopted", "services": "move_services", "elsewhere": "folder_not_shared",
		"gone": "no_account", "large": "move_too_large", "taken": "move_home_there", "job": "move_run_goes"} {
		r.want(p, id, Stays, why)
	}
	r.want(p, "fresh", Moved, "")
	if p.Left() != 8 || len(r.to.came) != 0 {
		t.Errorf("%d are left, and %v came", p.Left(), r.to.came)
	}
}

// A move that was killed halfway goes on where it was, and what had come half comes anew.
func TestMoveGoesOn(t *testing.T) {
	r := newRig(t)
	r.workspace("one", nil)
	b := r.workspace("two", nil)
	if err := r.store.Update(r.Context(), func(tx masu.Tx) error {
		w, err := tx.Workspace("two")
		w.Project.Dir = "/away"
		return errors.Join(err, tx.PutWorkspace(w))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.move(); err != nil { // one is there
		t.Fatal(err)
	}
	if err := r.store.Update(r.Context(), func(tx masu.Tx) error {
		w, err := tx.Workspace("two")
		w.Project.Dir = "/home/mori/two"
		return errors.Join(err, tx.PutWorkspace(w))
	}); err != nil {
		t.Fatal(err)
	}
	r.to.breaks = masu.E(masu.Unreachable, "cluster_unreachable", "there")
	p, err := r.move()
	if masu.CodeOf(err) != "cluster_unreachable" {
		t.Fatalf("it broke off: %v", err)
	}
	r.want(p, "two", Fails, "cluster_unreachable")
	r.to.breaks = nil
	if p, err = r.move(); err != nil {
		t.Fatal(err)
	}
	r.want(p, "two", Moved, "")
	if len(r.to.came) != 2 || r.to.came[1] != "masu-home-two" {
		t.Errorf("came: %v", r.to.came)
	}
	// Whoever went on working here comes along again, unless they have begun there too.
	r.run(r.from, b, "echo later > /home/mori/kept")
	if _, p = r.plan(); r.want(p, "two", Moves, "").Image != There {
		t.Errorf("the image that came is not known: %+v", p.Steps)
	}
	if _, err = r.move(); err != nil || len(r.to.came) != 3 {
		t.Fatalf("came: %v, %v", r.to.came, err)
	}
	img, err := r.to.Image(t.Context(), "masu/env:two")
	if err != nil {
		t.Fatal(err)
	}
	b.Image = img.ID
	if out := r.run(r.to, b, "cat /home/mori/kept"); out != "later\n" {
		t.Errorf("the home there says %q", out)
	}
	b.Image = r.from.AddImage("masu/env:two", map[string]string{"masu.environment": "two"})
	r.run(r.from, b, "echo both > /home/mori/kept")
	_, p = r.plan()
	r.want(p, "two", Stays, "move_both")
}

func TestJournal(t *testing.T) {
	r := newRig(t)
	r.workspace("one", nil)
	if _, err := r.move(); err != nil {
		t.Fatal(err)
	}
	r.cfg.At = "another cluster"
	_, p := r.plan()
	r.want(p, "one", Stays, "move_home_there") // and not "moved", which it was elsewhere
	if err := os.WriteFile(r.cfg.Journal, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(r.cfg); masu.CodeOf(err) != "move_journal" {
		t.Errorf("a broken journal: %v", err)
	}
}
