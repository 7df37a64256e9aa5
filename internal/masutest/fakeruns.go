package masutest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// fakeRun is a run and what it has printed. The fake lends runs no GPUs.
type fakeRun struct {
	masu.Run
	log    bytes.Buffer
	cancel context.CancelFunc
}

// Submit is masu.Service's, as are all that follow.
func (s *fakeActor) Submit(_ context.Context, w masu.RunWish) (list []masu.Run, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(w.Argv) == 0 == (w.Notebook == nil):
		return nil, masu.E(masu.Invalid, "run_nothing")
	case w.Name != "" && !masu.ValidWorkspaceName(w.Name):
		return nil, masu.E(masu.Invalid, "workspace_name", w.Name)
	case w.Array && (w.First < 0 || w.Last < w.First || w.Last-w.First >= masu.ArrayMost):
		return nil, masu.E(masu.Invalid, "array_wrong", masu.ArrayMost)
	case w.Limit < 0:
		return nil, masu.E(masu.Invalid, "limit_wrong", w.Limit)
	case w.Retries < 0:
		return nil, masu.E(masu.Invalid, "retries_wrong", 10)
	}
	if most := s.meet(s.actor.Name).Limits.Runs; most != nil && *most == 0 {
		return nil, masu.E(masu.Denied, "runs_denied")
	}
	if w.Want != nil {
		if err := impossible(*w.Want); err != nil {
			return nil, err
		}
	}
	if w.Notebook != nil {
		if err := checkNotebook(w.Dir, *w.Notebook); err != nil {
			return nil, err
		}
	}
	for _, id := range w.After {
		if _, err := s.findRun(id); err != nil {
			return nil, err
		}
	}
	first, last, series := 0, 0, ""
	if w.Array {
		first, last, series = w.First, w.Last, string(newID())
	}
	for i := first; i <= last; i++ {
		r := masu.Run{ID: newID(), Owner: s.actor.Name, Name: cmp.Or(w.Name, "run"), Preset: w.Preset, Argv: w.Argv, Env: slices.Clone(w.Env), Limit: w.Limit, Series: series, Index: i, After: w.After, Phase: masu.RunQueued, At: time.Now()}
		if w.Array {
			r.Env = append(r.Env, masu.ArrayIndex(i))
		}
		if w.Notebook != nil {
			r.Project.Dir, r.Notebook = w.Dir, w.Notebook.For(r)
			r.Argv = r.Notebook.Argv()
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.runs[r.ID] = &fakeRun{Run: r, cancel: cancel}
		s.work.Go(func() { s.carry(ctx, r) })
		list = append(list, r)
	}
	return list, nil
}

// carry sees a run to its end.
func (s *fakeActor) carry(ctx context.Context, r masu.Run) {
	end := func(phase masu.RunPhase, code int, trouble *masu.Trouble) {
		_ = s.Runtime.Remove(context.Background(), r.ID)
		s.mu.Lock()
		defer s.mu.Unlock()
		if x := s.runs[r.ID]; x != nil && !x.Over() {
			x.Phase, x.Code, x.Trouble, x.EndedAt = phase, code, trouble, time.Now()
		}
		s.changed()
	}
	for _, id := range r.After {
		for well := false; !well; {
			s.mu.Lock()
			other, news := s.runs[id].Run, s.news
			s.mu.Unlock()
			if well = other.Well(); !well && other.Over() {
				end(masu.RunFailed, 0, &masu.Trouble{Kind: masu.Conflict, Code: "run_after", Args: []string{string(id)}})
				return
			}
			if !well {
				select {
				case <-news:
				case <-ctx.Done():
					end(masu.RunCancelled, 0, nil)
					return
				}
			}
		}
	}
	b := masu.Box{ID: r.ID, Name: r.Name, Run: true, Owner: s.actor.User, Image: "masu-test/base", Agent: masu.AgentSpec{User: s.actor.User, Work: s.actor.Home + "/work", Command: r.Argv}, Variables: variables(r.Env)}
	if err := s.Runtime.Start(ctx, b); err != nil {
		end(masu.RunFailed, 0, &masu.Trouble{Kind: masu.KindOf(err), Code: masu.CodeOf(err)})
		return
	}
	s.mu.Lock()
	x := s.runs[r.ID]
	x.Phase, x.StartedAt = masu.RunRunning, time.Now()
	s.mu.Unlock()
	for {
		st, err := s.Runtime.Box(ctx, r.ID)
		if err == nil && st.State == masu.BoxExited {
			s.mu.Lock()
			x.log.Reset()
			s.mu.Unlock()
			_ = s.Runtime.Logs(ctx, r.ID, lockedWriter{s.FakeService, &x.log}, false)
			end(masu.RunEnded, st.ExitCode, nil)
			return
		}
		if r.Limit > 0 && time.Since(x.StartedAt) > r.Limit {
			end(masu.RunFailed, 0, &masu.Trouble{Kind: masu.Conflict, Code: "run_limit"})
			return
		}
		select {
		case <-ctx.Done():
			end(masu.RunCancelled, 0, nil)
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// lockedWriter writes to what the service's lock guards.
type lockedWriter struct {
	f  *FakeService
	to io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	return w.to.Write(p)
}

func variables(env []string) map[string]string {
	all := map[string]string{}
	for _, kv := range env {
		for i := range kv {
			if kv[i] == '=' {
				all[kv[:i]] = kv[i+1:]
				break
			}
		}
	}
	return all
}

// findRun is called with the lock held.
func (s *fakeActor) findRun(id masu.WorkspaceID) (*fakeRun, error) {
	r := s.runs[id]
	if r == nil || r.Owner != s.actor.Name && !s.actor.Admin {
		return nil, masu.E(masu.NotFound, "no_run", id)
	}
	return r, nil
}

func (s *fakeActor) Runs(_ context.Context, all bool) (list []masu.Run, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all && !s.actor.Admin {
		return nil, masu.E(masu.Denied, "not_admin")
	}
	for _, r := range s.runs {
		if all || r.Owner == s.actor.Name {
			list = append(list, r.Run)
		}
	}
	slices.SortFunc(list, func(a, b masu.Run) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

func (s *fakeActor) RunByID(_ context.Context, id masu.WorkspaceID) (masu.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.findRun(id)
	if err != nil {
		return masu.Run{}, err
	}
	return r.Run, nil
}

func (s *fakeActor) RunSamples(ctx context.Context, id masu.WorkspaceID) ([]masu.Sample, error) {
	_, err := s.RunByID(ctx, id)
	return nil, err
}

func (s *fakeActor) CancelRun(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	for {
		s.mu.Lock()
		r, err := s.findRun(id)
		if err != nil {
			s.mu.Unlock()
			return masu.Run{}, err
		}
		now, news := r.Run, s.news
		r.cancel()
		s.mu.Unlock()
		if now.Over() {
			return now, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func (s *fakeActor) ForgetRun(_ context.Context, id masu.WorkspaceID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.findRun(id)
	if err != nil {
		return err
	}
	if !r.Over() {
		return masu.E(masu.Conflict, "run_goes_on", id)
	}
	delete(s.runs, id)
	return nil
}

func (s *fakeActor) RunLog(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	for {
		s.mu.Lock()
		r, err := s.findRun(id)
		if err != nil {
			s.mu.Unlock()
			return err
		}
		over, running, text, news := r.Over(), r.Phase == masu.RunRunning, bytes.Clone(r.log.Bytes()), s.news
		s.mu.Unlock()
		switch {
		case over:
			_, err := w.Write(text)
			return err
		case running && !follow:
			return s.Runtime.Logs(ctx, id, w, false)
		case !follow:
			return nil
		}
		select {
		case <-news:
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// checkNotebook looks no further than whether it is there.
func checkNotebook(dir string, n masu.Notebook) error {
	if err := n.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, n.Path)); dir == "" || err != nil {
		return masu.E(masu.Invalid, "notebook_missing", n.Path)
	}
	return nil
}

func (s *fakeActor) RunNotebook(_ context.Context, id masu.WorkspaceID, w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.findRun(id)
	if err != nil {
		return err
	}
	if r.Notebook == nil {
		return masu.E(masu.NotFound, "no_notebook", id)
	}
	text, err := os.ReadFile(filepath.Join(r.Project.Dir, r.Notebook.Out))
	if errors.Is(err, fs.ErrNotExist) {
		return masu.E(masu.NotFound, "no_notebook", id)
	}
	if len(text) > int(masu.NotebookMost) {
		return masu.E(masu.Invalid, "notebook_large", masu.NotebookMost)
	}
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

func (s *fakeActor) Notebooks(_ context.Context, dir string) (list []string, err error) {
	if _, err := s.Browse(context.Background(), dir); err != nil {
		return nil, err
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		switch hidden := path != "." && e.Name()[0] == '.'; {
		case err != nil:
			return err
		case e.IsDir() && (hidden || strings.Count(path, "/") >= masu.NotebooksDeep):
			return fs.SkipDir
		case !hidden && e.Type().IsRegular() && masu.IsNotebook(e.Name()) && !masu.RanNotebook(e.Name()) && len(list) < masu.NotebooksMost:
			list = append(list, path)
		}
		return nil
	})
	return list, err
}
