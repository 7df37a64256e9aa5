package docker

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// dialPatience is far more than a connection inside one machine takes.
const dialPatience = 5 * time.Second

// process is the first one of a running box.
type process struct {
	pid       int
	container string
}

// Dial connects to a port on the box's own loopback. NotFound "no_box",
// Conflict "box_not_running", Unreachable "port_silent" when nothing listens.
func (r *Runtime) Dial(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	if r.cfg.Host.Rootless() {
		return r.dialSocket(ctx, id, port)
	}
	p, cached := r.cached(id)
	if !cached {
		var err error
		if p, err = r.look(ctx, id); err != nil {
			return nil, err
		}
	}
	conn, err := r.cfg.Host.Dial(ctx, p.pid, p.container, port)
	if err == nil || !cached {
		return conn, dialTrouble(err, port)
	}
	// What was remembered may be of a box that has been restarted since.
	fresh, lookErr := r.look(ctx, id)
	if lookErr != nil {
		return nil, lookErr
	}
	if fresh == p {
		return nil, dialTrouble(err, port)
	}
	conn, err = r.cfg.Host.Dial(ctx, fresh.pid, fresh.container, port)
	return conn, dialTrouble(err, port)
}

func (r *Runtime) dialSocket(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error) {
	if _, err := r.running(ctx, id); err != nil {
		return nil, err
	}
	conn, err := r.cfg.Host.DialSocket(ctx, filepath.Join(r.socketDir(id), filepath.Base(masu.AgentSocket)), syscall.Getuid(), port)
	return conn, dialTrouble(err, port)
}

func dialTrouble(err error, port int) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*masu.Error](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return masu.E(masu.Unreachable, "port_silent", port).Because(err)
}

func (r *Runtime) cached(id masu.WorkspaceID) (process, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.procs[id]
	return p, ok
}

// look asks the engine for the box's first process and remembers it until a change.
func (r *Runtime) look(ctx context.Context, id masu.WorkspaceID) (process, error) {
	r.forget(id)
	c, err := r.running(ctx, id)
	if err != nil {
		return process{}, err
	}
	p := process{pid: c.State.Pid, container: c.ID}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs[id] = p
	return p, nil
}

// forget drops what is remembered of a box that may have changed.
func (r *Runtime) forget(id masu.WorkspaceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.procs, id)
}
