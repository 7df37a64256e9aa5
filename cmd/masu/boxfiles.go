package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"

	"github.com/pkg/sftp"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/mirror"
)

// boxWork is where the project folder is in a box, below the home.
const boxWork = "work"

// place is a path of this machine, or one in a workspace.
type place struct {
	workspace string // "" is this machine
	path      string
}

// parsePlace reads WORKSPACE:PATH as scp and docker cp do: what has a slash before
// the colon, or a drive of Windows there, is a path of this machine.
func parsePlace(said string, windows bool) place {
	name, rest, ok := strings.Cut(said, ":")
	drive := len(name) == 1 && (windows || strings.HasPrefix(rest, `\`))
	if !ok || drive || !masu.ValidWorkspaceName(name) {
		return place{path: said}
	}
	return place{workspace: name, path: rest}
}

func (a *app) place(said string) place { return parsePlace(said, runtime.GOOS == "windows") }

// boxFiles are a box's files, by sftp, with the rights that the member has there.
type boxFiles struct {
	*sftp.Client
	home  string
	close func()
	ended func() error // why the connection has ended
}

// running gives a workspace that runs; one's own that is stopped is started, as by ssh.
func (a *app) running(ctx context.Context, s service, name string) (masu.Workspace, error) {
	w, err := s.Workspace(ctx, name)
	if err != nil || w.Phase == masu.Running {
		return w, err
	}
	if w.Phase.Settled() {
		a.note("box_starting", w.Name)
		if w, err = s.Up(ctx, masu.UpRequest{Name: name}); err != nil {
			return w, err
		}
	}
	if w.Phase == masu.Running {
		return w, nil
	}
	return a.await(ctx, s, w, false)
}

// boxFiles opens the files of a running box. They stay open when ctx ends, so
// that what is half written can be taken away.
func (a *app) boxFiles(ctx context.Context, s service, name string) (*boxFiles, error) {
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	in, toBox := io.Pipe()
	fromBox, out := io.Pipe()
	words := &lastWords{}
	done := make(chan struct{})
	var why error
	go func() {
		defer close(done)
		code, err := s.Exec(inside, name, masu.Exec{Argv: []string{masu.AgentPath, "agent", "sftp"}, Dir: "/", Stdin: in, Stdout: out, Stderr: words})
		if err == nil && code != 0 {
			err = masu.E(masu.Unreachable, "box_no_files", name, words.String())
		}
		why = err
		_ = out.CloseWithError(errors.Join(err, io.EOF))
		_ = in.Close()
	}()
	b := &boxFiles{close: func() { cancel(); <-done }, ended: func() error { cancel(); <-done; return why }}
	stop := context.AfterFunc(ctx, cancel)
	c, err := sftp.NewClientPipe(fromBox, toBox, sftp.UseConcurrentWrites(true))
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil {
		b.Client = c
		b.home, err = c.Getwd()
	}
	if err != nil {
		if ended := b.ended(); ended != nil && masu.CodeOf(ended) != "cancelled" {
			err = ended
		}
		return nil, err
	}
	return b, nil
}

// at gives a path as the box knows it: below the project folder, with ~ below the home.
func (b *boxFiles) at(said string) string {
	switch {
	case path.IsAbs(said):
		return path.Clean(said)
	case said == "~" || strings.HasPrefix(said, "~/"):
		return path.Join(b.home, strings.TrimPrefix(said, "~"))
	}
	return path.Join(b.home, boxWork, said)
}

// end closes the connection.
func (b *boxFiles) end() {
	_ = b.Client.Close()
	b.close()
}

// all is the box's whole file system; paths in it begin without a slash.
func (b *boxFiles) all() mirror.Tree { return mirror.NewSFTP(b.Client, "/") }

// lastWords keeps the first of what a program complains of.
type lastWords struct{ strings.Builder }

func (l *lastWords) Write(p []byte) (int, error) {
	if room := 1000 - l.Len(); room > 0 {
		_, _ = l.Builder.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// fileError says in a person's words what a file system refused.
func fileError(what string, err error) error {
	if _, ours := errors.AsType[*masu.Error](err); ours || err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return masu.E(masu.NotFound, "path_missing", what).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return masu.E(masu.Denied, "path_denied", what).Because(err)
	}
	return masu.E(masu.Conflict, "path_failed", what, reason(err)).Because(err)
}

// reason is the shortest that a file system's error says.
func reason(err error) string {
	if status, ok := errors.AsType[*sftp.StatusError](err); ok {
		return strings.TrimSuffix(fmt.Sprint(status.FxCode(), ": ", status.Error()), "\n")
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
