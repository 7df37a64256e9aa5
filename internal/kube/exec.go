package kube

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/masu-lab/masu"
)

// killGrace is what a command has to end when its caller has gone, before it is left to itself.
const killGrace = 10 * time.Second

// execOrder is what `masu agent exec` reads before its "--": the cluster's exec
// knows neither variables nor folders. The agent registers the command under
// Key, by which `masu agent kill` ends it with its children: nobody else would.
type execOrder struct {
	Dir  string   `json:"dir,omitempty"`
	Env  []string `json:"env,omitempty"`
	Root bool     `json:"root,omitempty"`
	TTY  bool     `json:"tty,omitempty"`
	Key  string   `json:"key"`
}

// Exec runs a command in the box and returns its exit code; see masu.Runner.
// NotFound "no_box", Conflict "box_not_running", Denied "no_root_here" for a
// command as root where nobody may be.
func (r *Runtime) Exec(ctx context.Context, id masu.WorkspaceID, e masu.Exec) (int, error) {
	p, err := r.live(ctx, id)
	if err != nil {
		return -1, err
	}
	if e.Root && !hasSudo(p) {
		return -1, masu.E(masu.Denied, "no_root_here")
	}
	order := execOrder{Dir: e.Dir, Env: e.Env, Root: e.Root, TTY: e.TTY, Key: rand.Text()}
	text, err := json.Marshal(order)
	if err != nil {
		return -1, err
	}
	argv := append([]string{masu.AgentPath, "agent", "exec", string(text), "--"}, e.Argv...)
	var one sync.Mutex // both outputs may be the same writer, and each comes on a goroutine of its own
	s := remotecommand.StreamOptions{Stdin: e.Stdin, Stdout: &inTurn{orDiscard(e.Stdout), &one}, Tty: e.TTY}
	if e.TTY {
		q := &sizes{first: e.Size, more: e.Resize, done: make(chan struct{})}
		defer close(q.done)
		s.TerminalSizeQueue = q
	} else {
		s.Stderr = &inTurn{orDiscard(e.Stderr), &one}
	}
	code, err := r.stream(ctx, p, argv, s)
	if ctx.Err() != nil {
		r.kill(ctx, p, order.Key)
		return -1, context.Cause(ctx)
	}
	if err != nil {
		if _, gone := r.live(ctx, id); gone != nil { // most often because its box has not lasted
			return -1, gone
		}
		return -1, r.failed("exec", err)
	}
	return code, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// inTurn writes when nobody else does.
type inTurn struct {
	io.Writer
	turn *sync.Mutex
}

func (w *inTurn) Write(p []byte) (int, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.Writer.Write(p)
}

// stream runs a command in a pod's first container as the container's own user.
func (r *Runtime) stream(ctx context.Context, p *corev1.Pod, argv []string, s remotecommand.StreamOptions) (int, error) {
	url := r.core.Post().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: p.Spec.Containers[0].Name, Command: argv,
			Stdin: s.Stdin != nil, Stdout: s.Stdout != nil, Stderr: s.Stderr != nil, TTY: s.Tty}, parameters).URL()
	ws, err := remotecommand.NewWebSocketExecutor(r.rest, "GET", url.String())
	if err != nil {
		return -1, err
	}
	old, err := remotecommand.NewSPDYExecutor(r.rest, "POST", url)
	if err != nil {
		return -1, err
	}
	exec, err := remotecommand.NewFallbackExecutor(ws, old, func(err error) bool { // API servers before 1.31, and proxies on the way
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return -1, err
	}
	err = exec.StreamWithContext(ctx, s)
	if exit, ok := errors.AsType[utilexec.CodeExitError](err); ok {
		return exit.Code, nil
	}
	if err != nil {
		return -1, err
	}
	return 0, nil
}

// command runs one whose output nobody needs.
func (r *Runtime) command(ctx context.Context, p *corev1.Pod, argv []string) error {
	code, err := r.stream(ctx, p, argv, remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard})
	if err == nil && code != 0 {
		err = fmt.Errorf("kube: %q ended with %d", argv, code)
	}
	return err
}

// kill ends the command of that key and its children, although ctx may have ended.
func (r *Runtime) kill(ctx context.Context, p *corev1.Pod, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
	defer cancel()
	if err := r.command(ctx, p, []string{masu.AgentPath, "agent", "kill", key}); err != nil {
		r.cfg.Log.Debug("a command was perhaps not ended", "pod", p.Name, "err", err) // or its box has ended, and it with it
	}
}

// sizes tells the terminal's size, first and when it changes.
type sizes struct {
	first masu.WinSize
	more  <-chan masu.WinSize
	done  chan struct{}
}

// Next is remotecommand.TerminalSizeQueue's; nil ends it.
func (q *sizes) Next() *remotecommand.TerminalSize {
	s := q.first
	q.first = masu.WinSize{}
	if s == (masu.WinSize{}) {
		select {
		case next, ok := <-q.more:
			if !ok {
				return nil
			}
			s = next
		case <-q.done:
			return nil
		}
	}
	return &remotecommand.TerminalSize{Width: s.Cols, Height: s.Rows}
}
