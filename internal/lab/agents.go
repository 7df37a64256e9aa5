package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

const (
	readyWithin = 90 * time.Second
	waitWithin  = 30 * time.Minute // for room on a machine of a cluster, or for an image that comes there
	agentRetry  = 500 * time.Millisecond
	tellPause   = 50 * time.Millisecond // between what an agent tells
	smokeWithin = 2 * time.Minute       // for a large framework to be read from a slow disk
	writeWithin = 5 * time.Second
)

// agent speaks HTTP to the agent of a box.
func (l *Lab) agent(id masu.WorkspaceID) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return l.cfg.Runtime.Dial(ctx, id, masu.AgentPort)
	}}}
}

// call asks the agent of a box, and refuses a refusal. Who calls closes the answer.
func (l *Lab) call(ctx context.Context, id masu.WorkspaceID, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", masu.AgentPort, path), body)
	if err != nil {
		return nil, err
	}
	resp, err := l.agent(id).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		_ = resp.Body.Close()
		return nil, errors.New("the agent says " + resp.Status)
	}
	return resp.Body, nil
}

// listen follows what the agent tells until it, or ctx, ends, or f says so.
func (l *Lab) listen(ctx context.Context, id masu.WorkspaceID, f func(masu.AgentStatus) (more bool)) error {
	answer, err := l.call(ctx, id, http.MethodGet, "/v1/watch", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	limited := &ration{from: answer}
	for d := json.NewDecoder(limited); ; {
		var s masu.AgentStatus
		limited.left = statusMost
		if err := d.Decode(&s); err != nil {
			return err
		}
		if err := plausible(&s); err != nil {
			return err
		}
		if !f(s) {
			return nil
		}
	}
}

// becomeReady waits until the apps of a box that was just started answer.
func (l *Lab) becomeReady(ctx context.Context, w masu.Workspace, says *journal) error {
	if err := l.boxRuns(ctx, w.ID, says.tell); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	says.say("apps_start")
	var last masu.AgentStatus
	for {
		ready := false
		err := l.listen(wait, w.ID, func(s masu.AgentStatus) bool {
			last, ready = s, s.Ready
			return !ready
		})
		if ready {
			_, err := l.update(ctx, w.ID, func(w *masu.Workspace) { w.Apps, w.Lost = last.Apps, last.GPULost })
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wait.Err() != nil {
			return notReady(last)
		}
		if dead := l.diedStarting(ctx, w.ID); dead != nil {
			return dead
		}
		l.log.Debug("agent", "workspace", w.Label, "error", err)
		select {
		case <-time.After(agentRetry / 10):
		case <-wait.Done():
		}
	}
}

// boxRuns waits while the runtime says that a box which it was told to start is
// yet to run, and passes on why. Whoever asks the agent next finds out about all else.
func (l *Lab) boxRuns(ctx context.Context, id masu.WorkspaceID, tell func(masu.Progress)) error {
	said, begun := "", time.Now()
	for {
		b, err := l.cfg.Runtime.Box(ctx, id)
		if err != nil || b.Waits == nil {
			return ctx.Err()
		}
		if time.Since(begun) > waitWithin && !strings.HasPrefix(b.Waits.Code, "pod_queued") { // a queue of the cluster's may take days, as masu's own
			return b.Waits
		}
		if now := b.Waits.Error(); now != said {
			tell(masu.Progress{Code: b.Waits.Code, Args: b.Waits.Args})
			said = now
		}
		if err := pause(ctx, min(max(time.Since(begun)/10, agentRetry/10), 2*time.Second)); err != nil {
			return err
		}
	}
}

func notReady(s masu.AgentStatus) error {
	for _, a := range s.Apps {
		if !a.Ready {
			return masu.E(masu.Unreachable, "app_not_ready", a.Name, a.Error)
		}
	}
	return masu.E(masu.Unreachable, "agent_silent")
}

// diedStarting tells why a box has ended already; nil if it has not.
func (l *Lab) diedStarting(ctx context.Context, id masu.WorkspaceID) error {
	b, err := l.cfg.Runtime.Box(ctx, id)
	switch {
	case err != nil && masu.KindOf(err) == masu.NotFound:
		return masu.E(masu.Conflict, "box_gone")
	case err != nil:
		return err
	case b.OOM:
		return masu.E(masu.Full, "out_of_memory")
	case b.State == masu.BoxExited:
		return masu.E(masu.Conflict, "box_died", b.ExitCode)
	}
	return nil
}

// smoke proves that a new GPU environment computes; that it does not is told, and stops nobody.
func (l *Lab) smoke(ctx context.Context, w masu.Workspace, argv []string, says *journal) {
	says.say("smoke_runs")
	ctx, cancel := context.WithTimeout(ctx, smokeWithin)
	defer cancel()
	var out capped // the Python there is the member's own
	code, err := l.cfg.Runtime.Exec(ctx, w.ID, masu.Exec{Argv: argv, Stdout: &out, Stderr: io.Discard})
	if err != nil {
		l.log.Warn("smoke test", "workspace", w.Label, "error", err)
		return
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := lines[len(lines)-1]
	if why := recipe.Explain(code, last); why != nil {
		says.tell(masu.Progress{Code: why.Code, Args: why.Args})
		return
	}
	says.say("smoke_passed", last)
}

// watchAgents sees to it that each running box, and no other, is listened to.
func (l *Lab) watchAgents(ctx context.Context, wg *sync.WaitGroup) {
	all, err := l.everything(ctx)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	running := map[masu.WorkspaceID]bool{}
	for _, w := range all {
		if w.Phase != masu.Running || w.Adopted != nil {
			continue
		}
		running[w.ID] = true
		if l.watched[w.ID] != nil {
			continue
		}
		watch, cancel := context.WithCancel(ctx)
		l.watched[w.ID] = cancel
		wg.Go(func() { l.watchAgent(watch, w.ID, w.Owner) })
	}
	for id, cancel := range l.watched {
		if !running[id] {
			cancel()
			delete(l.watched, id)
			delete(l.open, id)
		}
	}
}

func (l *Lab) watchAgent(ctx context.Context, id masu.WorkspaceID, owner masu.Username) {
	asked := ""
	for ctx.Err() == nil {
		_ = l.listen(ctx, id, func(s masu.AgentStatus) bool { // an agent that goes away comes back, or its box has died
			l.heard(ctx, id, s)
			if s.PasswordID != "" && s.PasswordID != asked {
				asked = s.PasswordID
				l.passwordFromBox(ctx, id, owner, asked)
			}
			return pause(ctx, tellPause) == nil // what comes faster is not written down each time
		})
		select {
		case <-ctx.Done():
		case <-time.After(agentRetry):
		}
	}
}

// heard keeps what the agent told, if it is news.
func (l *Lab) heard(ctx context.Context, id masu.WorkspaceID, s masu.AgentStatus) {
	w, err := l.stored(ctx, id)
	if err != nil {
		return
	}
	l.mu.Lock()
	if !l.heardAt[id].Equal(s.ActiveAt) { // whatever the clock says: another time is activity
		l.heardAt[id], l.stirred[id] = s.ActiveAt, true
	}
	l.open[id] = s.Notebooks
	l.mu.Unlock()
	active := s.ActiveAt.Sub(w.UsedAt) > time.Minute
	lost := s.GPULost && len(w.GPUs) > 0
	if w.Phase != masu.Running || reflect.DeepEqual(w.Apps, s.Apps) && lost == w.Lost && !active {
		return
	}
	news := lost && !w.Lost
	w, err = l.update(ctx, id, func(w *masu.Workspace) {
		w.Apps, w.Lost = s.Apps, lost
		if active {
			w.UsedAt = s.ActiveAt
		}
	})
	switch {
	case err == nil && news:
		l.tellLost(ctx, w)
	case err != nil && ctx.Err() == nil:
		l.log.Warn("agent", "workspace", id, "error", err)
	}
}

// passwordFromBox sets the owner's password as scripts/set_passwd.sh in the box asked.
func (l *Lab) passwordFromBox(ctx context.Context, id masu.WorkspaceID, owner masu.Username, request string) {
	var asked struct{ Password string }
	err := l.ask(ctx, id, http.MethodGet, request, nil, &asked)
	if err == nil {
		err = l.unshared(ctx, id)
	}
	if err == nil {
		err = l.setPassword(ctx, owner, asked.Password)
		l.record(ctx, masu.Actor{User: masu.User{Name: owner}, Door: "box"}, "passwd", string(owner), err)
	}
	answer := map[string]any{"ok": err == nil}
	if err != nil {
		answer["code"] = masu.CodeOf(err)
	}
	if err := l.ask(ctx, id, http.MethodPost, request, answer, nil); err != nil && ctx.Err() == nil {
		l.log.Warn("password from box", "workspace", id, "error", err)
	}
}

// unshared refuses to take the owner's password from a box in which somebody else
// could type: a guest would sign in as the owner for ever.
func (l *Lab) unshared(ctx context.Context, id masu.WorkspaceID) error {
	w, err := l.stored(ctx, id)
	if err == nil && w.Opened {
		err = masu.E(masu.Denied, "password_not_here", w.Name)
	}
	return err
}

func (l *Lab) ask(ctx context.Context, id masu.WorkspaceID, method, request string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	answer, err := l.call(ctx, id, method, "/v1/password/"+request, bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(answer, 64<<10)).Decode(into)
}

// tellLost says, wherever its owner may look, that a workspace's box may not reach
// its GPUs any more; and to the admins, once an hour for all boxes, for whatever
// did so to one does so to others.
func (l *Lab) tellLost(ctx context.Context, w masu.Workspace) {
	l.log.Warn("a box has lost its GPUs", "workspace", w.Label, "gpus", w.GPUs)
	n := notice{occasion: masu.OccasionEnded, workspace: w, code: "gpu_lost", args: []string{w.Name}}
	l.tell(ctx, w.Owner, n)
	l.write(ctx, w, n)
	l.alert("gpu_lost_somewhere", w.Label)
}

// write puts a warning on the terminals of a workspace's box, in its owner's
// language. Whoever looks elsewhere is told by other ways; this one may fail.
func (l *Lab) write(ctx context.Context, w masu.Workspace, n notice) {
	if l.cfg.Say == nil {
		return
	}
	n.at = time.Now()
	x := l.worded(n, l.langOf(ctx, w.Owner))
	err := l.spawn(ctx, func(ctx context.Context) { l.sayIn(ctx, w.ID, x.Title+"\n"+x.Body) })
	if err != nil && ctx.Err() == nil {
		l.log.Warn("write to terminals", "workspace", w.Label, "error", err)
	}
}

// langOf is the language that a member has chosen; none is kept of many a member.
func (l *Lab) langOf(ctx context.Context, who masu.Username) masu.Lang {
	var m masu.Member
	_ = l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = tx.Member(who); return err })
	return m.Lang
}

// sayIn writes words on the terminals of a box.
func (l *Lab) sayIn(ctx context.Context, id masu.WorkspaceID, words string) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	if answer, err := l.call(ctx, id, http.MethodPost, "/v1/say", strings.NewReader("masu: "+words+"\n")); err == nil {
		_ = answer.Close()
	}
}
