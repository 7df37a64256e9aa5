package masutest

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"iter"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// EchoPort is where every box of a FakeService sends back what it is sent.
const EchoPort = 7

// FakeService is a lab in memory: As gives what each actor may do there. It
// keeps no environments; every workspace runs the fake runtime's only image.
type FakeService struct {
	Runtime *FakeRuntime

	mu    sync.Mutex
	lab   string
	rooms map[masu.WorkspaceID]*room
	built map[masu.ImageRef][]masu.Username // who asked for an image
	langs map[masu.Username]masu.Lang
	people
	lending
	runs   map[masu.WorkspaceID]*fakeRun
	shared map[string]masu.Shared
	news   chan struct{} // closed, and made anew, at each change
	work   sync.WaitGroup
}

// room is a workspace and what its last operation has told.
type room struct {
	masu.Workspace
	user  masu.User
	told  []masu.Progress
	round int // counts the operations: one that was overtaken changes nothing more
}

// NewService returns a lab without workspaces.
func NewService() *FakeService {
	return &FakeService{
		Runtime: NewRuntime(), lab: strings.ToLower(rand.Text()[:12]), news: make(chan struct{}),
		rooms: map[masu.WorkspaceID]*room{}, built: map[masu.ImageRef][]masu.Username{}, langs: map[masu.Username]masu.Lang{}, runs: map[masu.WorkspaceID]*fakeRun{},
	}
}

// As gives the actor's service.
func (f *FakeService) As(a masu.Actor) masu.Service { return &fakeActor{f, a} }

// Close ends all boxes and waits until nothing goes on.
func (f *FakeService) Close() error {
	f.work.Wait()
	return f.Runtime.Close()
}

// changed is called with the lock held.
func (f *FakeService) changed() {
	close(f.news)
	f.news = make(chan struct{})
}

type fakeActor struct {
	*FakeService
	actor masu.Actor
}

var _ masu.Service = (*fakeActor)(nil)

// find is called with the lock held.
func (s *fakeActor) find(name string) (*room, error) {
	for _, r := range s.rooms {
		mine := r.Owner == s.actor.Name
		switch {
		case mine && name == r.Name,
			(mine || s.actor.Admin) && name == string(r.ID),
			(mine || s.actor.Admin) && name == string(r.Owner)+"/"+r.Name:
			return r, nil
		}
	}
	return nil, masu.E(masu.NotFound, "no_workspace", name)
}

// box finds a workspace, by find or open, and whether it runs.
func (s *fakeActor) box(name string, find func(string) (*room, error)) (masu.WorkspaceID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := find(name)
	if err != nil {
		return "", err
	}
	if r.Phase != masu.Running {
		return r.ID, masu.E(masu.Conflict, "box_not_running", r.Name)
	}
	return r.ID, nil
}

func (s *fakeActor) Whoami(context.Context) (masu.Hello, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.actor
	a.Lang = cmp.Or(s.langs[a.Name], a.Lang)
	return masu.Hello{Actor: a, Version: "fake", Lab: s.lab, HostName: "fake", Pages: "http://localhost:8888", House: s.people.house, Reach: s.reach(), Limits: s.meet(a.Name).Limits}, nil
}

func (s *fakeActor) Up(_ context.Context, q masu.UpRequest) (masu.Workspace, error) {
	name := q.Name
	if name == "" {
		name = filepath.Base(q.Dir)
	}
	if q.Dir != "" && !masu.ValidWorkspaceName(name) {
		return masu.Workspace{}, masu.E(masu.Invalid, "project_name", "name", name)
	}
	if q.Dir != "" {
		if err := folder(q.Dir); err != nil {
			return masu.Workspace{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	switch {
	case err != nil && q.Dir == "":
		return masu.Workspace{}, err
	case err == nil && r.Phase == masu.Running && !q.Restart && (q.OrCPU == nil || *q.OrCPU == r.OrCPU):
		return r.Workspace, nil
	case s.mayBegin() != nil:
		return masu.Workspace{}, s.mayBegin()
	case err != nil && s.oneMore() != nil:
		return masu.Workspace{}, s.oneMore()
	case err != nil:
		now := time.Now()
		r = &room{user: s.actor.User, Workspace: masu.Workspace{ID: newID(), Owner: s.actor.Name, Name: name,
			Label: name + "--" + string(s.actor.Name), CreatedAt: now}}
		r.Project = masu.Project{Dir: q.Dir, Name: name, Apps: masu.NamedApps("jupyter")}
		s.rooms[r.ID] = r
	}
	switch {
	case q.Want != nil:
		r.Project.Want = *q.Want
	case !r.Without():
		r.Project.Want = masu.Want{}
	}
	if q.OrCPU != nil {
		r.OrCPU = *q.OrCPU
	}
	r.told = nil
	s.begin(r)
	return r.Workspace, nil
}

// begin is called with the lock held.
func (s *fakeActor) begin(r *room) {
	r.round++
	s.move(r, masu.Building, nil)
	want := r.Project.Want
	if i := slices.IndexFunc(s.leases, func(l masu.Lease) bool { return l.Workspace == r.ID }); i >= 0 && s.leases[i].Want == want {
		r.GPUs, r.Until, r.EndsAt, r.EndWhy = s.leases[i].GPUs, s.leases[i].Until, time.Time{}, ""
		s.start(r)
		return
	}
	r.GaveBack()
	s.giveBack(r.ID)
	if err := impossible(want); err != nil {
		s.move(r, masu.Failed, &masu.Trouble{Kind: masu.KindOf(err), Code: masu.CodeOf(err)})
		return
	}
	if want.None() {
		s.start(r)
		return
	}
	s.tickets = append(s.tickets, masu.Ticket{Workspace: r.ID, Holder: r.Owner, Want: want, At: time.Now()})
	if r.OrCPU && (len(s.tickets) > 1 || len(s.free(want)) < want.Count) {
		r.Waits = true
		s.start(r)
		return
	}
	s.move(r, masu.Waiting, nil)
	s.lend()
}

// start is begin from when the workspace has its GPUs.
func (s *fakeActor) start(r *room) {
	round := r.round
	b := masu.Box{ID: r.ID, Name: r.Name, Owner: r.user, Image: "masu-test/base",
		Agent: masu.AgentSpec{User: r.user, Work: r.user.Home + "/work", Apps: r.Project.Apps}}
	s.work.Go(func() {
		s.step(r, round, masu.Starting, masu.Progress{Step: "image", Name: "environment", State: masu.StepCached})
		// The operation is the lab's own: it goes on when who asked for it has gone.
		if err := s.Runtime.Start(context.Background(), b); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if r.round == round {
				s.move(r, masu.Failed, &masu.Trouble{Kind: masu.KindOf(err), Code: masu.CodeOf(err)})
			}
			return
		}
		s.step(r, round, masu.Running, masu.Progress{Step: "box", Name: "box", State: masu.StepDone})
	})
}

// step tells what was done and moves on, unless something newer has begun.
func (s *fakeActor) step(r *room, round int, p masu.Phase, told masu.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.round != round {
		return
	}
	told.At = time.Now()
	r.told = append(r.told, told)
	s.move(r, p, nil)
}

func (s *fakeActor) move(r *room, p masu.Phase, trouble *masu.Trouble) {
	r.Phase, r.Trouble, r.ChangedAt = p, trouble, time.Now()
	r.Apps = nil
	if p == masu.Running {
		for _, a := range r.Project.Apps {
			r.Apps = append(r.Apps, fakeApp(a))
		}
	}
	s.changed()
}

func (s *fakeActor) Watch(ctx context.Context, name string) iter.Seq2[masu.Progress, error] {
	return func(yield func(masu.Progress, error) bool) {
		for n := 0; ; {
			s.mu.Lock()
			r, err := s.open(name)
			if err != nil {
				s.mu.Unlock()
				yield(masu.Progress{}, err)
				return
			}
			n = min(n, len(r.told)) // a new operation may have begun
			told, settled, news := slices.Clone(r.told[n:]), r.Phase.Settled(), s.news
			s.mu.Unlock()
			for _, p := range told {
				if !yield(p, nil) {
					return
				}
			}
			n += len(told)
			if settled {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(masu.Progress{}, context.Cause(ctx))
				return
			}
		}
	}
}

func (s *fakeActor) Stop(ctx context.Context, name string) (masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return masu.Workspace{}, err
	}
	if r.Phase == masu.Stopped {
		return r.Workspace, nil
	}
	r.round++
	if err := s.Runtime.Stop(ctx, r.ID, time.Second); err != nil {
		return masu.Workspace{}, err
	}
	r.GaveBack()
	s.move(r, masu.Stopped, nil)
	s.giveBack(r.ID)
	return r.Workspace, nil
}

func (s *fakeActor) Remove(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return err
	}
	r.round++
	if err := s.Runtime.Remove(ctx, r.ID); err != nil {
		return err
	}
	delete(s.rooms, r.ID)
	s.giveBack(r.ID)
	s.changed()
	return nil
}

func (s *fakeActor) Workspace(_ context.Context, name string) (masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, w, err := s.shown(name)
	return s.placed(w), err
}

// placed is a workspace with its place in the queue.
func (s *fakeActor) placed(w masu.Workspace) masu.Workspace {
	if i := slices.IndexFunc(s.tickets, func(t masu.Ticket) bool { return t.Workspace == w.ID }); i >= 0 && w.Phase == masu.Waiting {
		w.Queue = masu.Forecast{Place: i + 1, Blocked: masu.WaitGPUs}
	}
	return w
}

func (s *fakeActor) Workspaces(_ context.Context, all bool) ([]masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine(all && s.actor.Admin), nil
}

func (s *fakeActor) mine(all bool) (list []masu.Workspace) {
	for _, r := range s.rooms {
		if w, ok := s.seen(r); ok {
			list = append(list, s.placed(w))
		} else if all {
			list = append(list, s.placed(r.Workspace))
		}
	}
	slices.SortFunc(list, byOwnerAndName)
	return list
}

func (s *fakeActor) Changes(ctx context.Context) iter.Seq2[masu.Workspace, error] {
	return func(yield func(masu.Workspace, error) bool) {
		for seen := map[masu.WorkspaceID]masu.Workspace{}; ; {
			s.mu.Lock()
			now, news := s.mine(false), s.news
			s.mu.Unlock()
			gone := maps.Clone(seen)
			for _, w := range now {
				delete(gone, w.ID)
				if old, ok := seen[w.ID]; ok && old.Phase == w.Phase && old.ChangedAt.Equal(w.ChangedAt) {
					continue
				}
				seen[w.ID] = w
				if !yield(w, nil) {
					return
				}
			}
			for id, w := range gone {
				delete(seen, id)
				w.Phase = ""
				if !yield(w, nil) {
					return
				}
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(masu.Workspace{}, context.Cause(ctx))
				return
			}
		}
	}
}

func (s *fakeActor) Exec(ctx context.Context, name string, e masu.Exec) (int, error) {
	id, err := s.box(name, s.find)
	if err != nil {
		return -1, err
	}
	return s.Runtime.Exec(ctx, id, e)
}

func (s *fakeActor) Logs(ctx context.Context, name string, w io.Writer, follow bool) error {
	id, err := s.box(name, s.find)
	if masu.KindOf(err) == masu.NotFound {
		return err
	}
	return s.Runtime.Logs(ctx, id, w, follow)
}

func (s *fakeActor) SideLogs(ctx context.Context, name, side string, w io.Writer, follow bool) error {
	id, err := s.box(name, s.find)
	if masu.KindOf(err) == masu.NotFound {
		return err
	}
	return s.Runtime.SideLogs(ctx, id, side, w, follow)
}

func (s *fakeActor) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	id, err := s.box(name, func(name string) (*room, error) { r, _, err := s.shown(name); return r, err })
	if err != nil {
		return nil, err
	}
	w, err := s.Workspace(ctx, name)
	if err != nil {
		return nil, err
	}
	listed := slices.ContainsFunc(w.Apps, func(a masu.App) bool { return a.Port == port })
	if w.Owner != s.actor.Name && !s.actor.Admin && !listed || w.Part && s.actor.Door != masu.DoorWeb {
		return nil, masu.E(masu.Invalid, "bad_port", port)
	}
	if port == EchoPort {
		return echo()
	}
	return s.Runtime.Dial(ctx, id, port)
}

func (s *fakeActor) Run(ctx context.Context, q masu.RunRequest, progress func(masu.Progress)) (int, error) {
	if q.Dir != "" {
		if err := folder(q.Dir); err != nil {
			return -1, err
		}
	}
	image := cmp.Or(q.Image, "masu-test/base")
	if progress != nil {
		progress(masu.Progress{At: time.Now(), Step: "image", Name: string(image), State: masu.StepCached})
	}
	b := masu.Box{ID: newID(), Name: q.Name, Run: true, Owner: s.actor.User, Image: string(image),
		Agent: masu.AgentSpec{User: s.actor.User, Work: s.actor.Home + "/work"}}
	if err := s.Runtime.Start(ctx, b); err != nil {
		return -1, err
	}
	code, err := s.Runtime.Exec(ctx, b.ID, q.Exec)
	if rm := s.Runtime.Remove(context.WithoutCancel(ctx), b.ID); err == nil {
		err = rm
	}
	return code, err
}

func (s *fakeActor) SetPassword(_ context.Context, password string) error {
	if password != "" && len(password) < 8 {
		return masu.E(masu.Invalid, "password_short")
	}
	return nil
}

func (s *fakeActor) SetLang(_ context.Context, lang masu.Lang) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.langs[s.actor.Name] = lang
	return nil
}

func (s *fakeActor) Link(_ context.Context, name string) (masu.OpenLink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" {
		if _, _, err := s.shown(name); err != nil {
			return masu.OpenLink{}, err
		}
	}
	return masu.OpenLink{URL: "http://localhost:8888/enter?" + rand.Text(), Expires: time.Now().Add(30 * time.Second)}, nil
}

// echo gives a connection that sends back what it is sent, and ends when what
// it is sent has ended.
func echo() (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.Accept()
	if err != nil {
		_ = near.Close()
		return nil, err
	}
	go func() { // ends when near is closed
		defer far.Close()
		_, _ = io.Copy(far, struct{ io.Reader }{far})
	}()
	return near, nil
}
