package docker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// killGrace is what a command has to end when its caller has gone, before it is left to itself.
const killGrace = 10 * time.Second

// execOrder is what `masu agent exec` reads in the variable MASU_EXEC. The
// agent registers the command under Key, by which `masu agent kill` ends it
// with its children: the engine itself never ends what it has begun.
type execOrder struct {
	Dir  string   `json:"dir,omitempty"`
	Env  []string `json:"env,omitempty"`
	Root bool     `json:"root,omitempty"`
	TTY  bool     `json:"tty,omitempty"`
	Key  string   `json:"key"`
	// Streams has it take its input and output from masu; where it cannot, it keeps the engine's.
	Streams bool `json:"streams,omitempty"`
}

// Exec runs a command in the box and returns its exit code; see masu.Runner.
// NotFound "no_box", Conflict "box_not_running", Denied "no_root_here". When ctx ends it returns ctx's
// error, after the command has ended. A read of e.Stdin that is in progress
// when the command ends is the caller's to end, by closing it.
func (r *Runtime) Exec(ctx context.Context, id masu.WorkspaceID, e masu.Exec) (int, error) {
	if _, ok := foreign(id); ok {
		return -1, fmt.Errorf("docker: %s has no agent", id)
	}
	c, err := r.running(ctx, id)
	if err != nil {
		return -1, err
	}
	if e.Root && !hasSudo(c.HostConfig) {
		return -1, masu.E(masu.Denied, "no_root_here")
	}
	order := execOrder{Dir: e.Dir, Env: e.Env, Root: e.Root, TTY: e.TTY, Key: rand.Text()}
	own := r.offer(c, e, order.Key)
	if own != nil {
		defer own.end()
	}
	order.Streams = own != nil
	opt, err := execOptions(e, order)
	if err != nil {
		return -1, err
	}
	made, err := r.api.ExecCreate(ctx, c.ID, opt)
	if err != nil {
		return -1, r.ended(ctx, id, err)
	}
	at, err := r.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{TTY: e.TTY, ConsoleSize: opt.ConsoleSize})
	if err != nil {
		return -1, r.ended(ctx, id, err)
	}
	defer at.Close()
	if err := r.carry(ctx, c.ID, made.ID, e, at.HijackedResponse, own); err != nil {
		r.kill(ctx, c.ID, order.Key)
		r.await(ctx, made.ID)
		return -1, err
	}
	code, err := r.exitCode(ctx, made.ID)
	if ctx.Err() != nil {
		r.kill(ctx, c.ID, order.Key)
		r.await(ctx, made.ID)
		return -1, context.Cause(ctx)
	}
	if err != nil {
		return -1, r.ended(ctx, id, err)
	}
	return code, nil
}

func execOptions(e masu.Exec, order execOrder) (client.ExecCreateOptions, error) {
	spec, err := json.Marshal(order)
	if err != nil {
		return client.ExecCreateOptions{}, err
	}
	o := client.ExecCreateOptions{
		User:         "0:0", // the agent's own program drops to the member
		TTY:          e.TTY,
		AttachStdin:  e.Stdin != nil,
		AttachStdout: true,
		AttachStderr: true,
		Env:          []string{"MASU_EXEC=" + string(spec)},
		WorkingDir:   "/",
		Cmd:          append([]string{masu.AgentPath, "agent", "exec", "--"}, e.Argv...),
	}
	if e.TTY {
		o.ConsoleSize = client.ConsoleSize{Height: uint(e.Size.Rows), Width: uint(e.Size.Cols)}
	}
	return o, nil
}

// carry moves bytes until the command's output ends, or ctx does.
func (r *Runtime) carry(ctx context.Context, box, exec string, e masu.Exec, at client.HijackedResponse, own *streams) error {
	var wg sync.WaitGroup
	ended := make(chan struct{})
	defer func() {
		at.Close()
		close(ended)
		if own != nil {
			own.close()
		}
		wg.Wait()
	}()
	if e.TTY {
		wg.Go(func() { r.resize(ctx, exec, e, ended) })
	}
	if own == nil {
		go feed(e.Stdin, at)
	} else {
		e = inTurn(e)
		wg.Go(func() { r.handOver(box, own, e, at) })
	}
	copied := make(chan error, 1)
	wg.Go(func() { copied <- copyOut(e, at.Reader) })
	return r.follow(ctx, exec, copied, own)
}

// feed gives a command its input through the engine. It is not waited for:
// nothing but its owner can end a read.
func feed(stdin io.Reader, at client.HijackedResponse) {
	if stdin != nil {
		_, _ = io.Copy(at.Conn, stdin)
		_ = at.CloseWrite()
	}
}

func copyOut(e masu.Exec, from io.Reader) error {
	out, errOut := e.Stdout, e.Stderr
	if out == nil {
		out = io.Discard
	}
	if errOut == nil {
		errOut = io.Discard
	}
	if e.TTY {
		_, err := io.Copy(out, from)
		return err
	}
	_, err := stdcopy.StdCopy(out, errOut, from)
	return err
}

// resize passes the terminal's size on. The first one may come before the
// command exists, and engines before API 1.42 do not take it with the order.
func (r *Runtime) resize(ctx context.Context, exec string, e masu.Exec, ended <-chan struct{}) {
	set := func(s masu.WinSize) error {
		_, err := r.api.ExecResize(ctx, exec, client.ExecResizeOptions{Height: uint(s.Rows), Width: uint(s.Cols)})
		return err
	}
	if e.Size != (masu.WinSize{}) {
		for tries := 0; set(e.Size) != nil && tries < 20; tries++ {
			select {
			case <-ended:
				return
			case <-time.After(25 * time.Millisecond):
			}
		}
	}
	for {
		select {
		case s, ok := <-e.Resize:
			if !ok {
				return
			}
			if err := set(s); err != nil {
				r.cfg.Log.Debug("terminal not resized", "err", err)
			}
		case <-ended:
			return
		}
	}
}

// kill ends the command of that key and its children, although ctx may have ended.
func (r *Runtime) kill(ctx context.Context, box, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
	defer cancel()
	made, err := r.api.ExecCreate(ctx, box, client.ExecCreateOptions{User: "0:0", WorkingDir: "/", Cmd: []string{masu.AgentPath, "agent", "kill", key}})
	if err == nil {
		_, err = r.api.ExecStart(ctx, made.ID, client.ExecStartOptions{Detach: true})
	}
	if err != nil && !isNotFound(err) && !isConflict(err) { // otherwise the box has ended, and the command with it
		r.cfg.Log.Warn("a command could not be ended", "container", box, "err", err)
	}
}

// await gives a command that has been told to end the time to do so.
func (r *Runtime) await(ctx context.Context, exec string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
	defer cancel()
	if _, err := r.exitCode(ctx, exec); ctx.Err() != nil {
		r.cfg.Log.Warn("a command did not end with its caller", "exec", exec, "err", err)
	}
}

// exitCode waits until the command has ended, which may be some time after its output has.
func (r *Runtime) exitCode(ctx context.Context, exec string) (int, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		res, err := r.api.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		if err != nil {
			return -1, err
		}
		if !res.Running {
			return res.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return -1, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// ended tells why a command could not be run to its end: most often because its box has not lasted.
func (r *Runtime) ended(ctx context.Context, id masu.WorkspaceID, err error) error {
	if _, gone := r.running(ctx, id); gone != nil {
		return gone
	}
	return r.failed("exec", err)
}
