package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

// systemSocket is where a lab's daemon listens.
const systemSocket = "/run/masu/masu.sock"

// probeTime bounds the question whether anybody answers at a socket.
const probeTime = 3 * time.Second

// service is the daemon at the other end of a socket.
type service interface {
	masu.Service
	io.Closer
	SSH(ctx context.Context, name string) (net.Conn, error) // the ssh gateway, without a key
}

// personal tells whether a daemon that this user starts is their own.
func personal() bool { return os.Geteuid() != 0 }

// sockets lists where a daemon may answer, the lab's first.
func (a *app) sockets() []string {
	if s := a.getenv("MASU_SOCKET"); s != "" {
		return []string{s}
	}
	all := []string{systemSocket}
	if personal() {
		if s := a.getenv("XDG_RUNTIME_DIR"); s != "" {
			all = append(all, filepath.Join(s, "masu", "masu.sock"))
		}
		all = append(all, filepath.Join(a.stateDir(), "masu.sock"))
	}
	return all
}

// ownSocket is where a daemon that this user starts listens.
func (a *app) ownSocket() string {
	if s := a.getenv("MASU_SOCKET"); s != "" {
		return s
	}
	if !personal() {
		return systemSocket
	}
	if s := a.getenv("XDG_RUNTIME_DIR"); s != "" {
		return filepath.Join(s, "masu", "masu.sock")
	}
	return filepath.Join(a.stateDir(), "masu.sock")
}

// stateDir is where a daemon that this user starts keeps its things.
func (a *app) stateDir() string {
	switch {
	case a.getenv("MASU_STATE") != "":
		return a.getenv("MASU_STATE")
	case !personal():
		return "/var/lib/masu"
	case a.getenv("XDG_STATE_HOME") != "":
		return filepath.Join(a.getenv("XDG_STATE_HOME"), "masu")
	}
	return filepath.Join(a.home(), ".local", "state", "masu")
}

// home is the home of the member who is served: with sudo, theirs and not root's.
func (a *app) home() string {
	if u, ok := a.sudoUser(); ok {
		return u.HomeDir
	}
	if home := a.getenv("HOME"); home != "" || runtime.GOOS != "windows" {
		return home
	}
	return a.getenv("USERPROFILE")
}

// connect finds the daemon, here or on the server that was named. Where none
// answers it is Unreachable "no_daemon".
func (a *app) connect(ctx context.Context) (service, error) {
	if a.server != nil {
		link, err := a.far()
		if err != nil {
			return nil, err
		}
		return api.DialBy(ctx, link.Dial, api.ClientOptions{})
	}
	if runtime.GOOS != "linux" {
		return nil, masu.E(masu.Invalid, "no_server")
	}
	var o api.ClientOptions
	if u, ok := a.sudoUser(); ok {
		o.As = masu.Username(u.Username)
	}
	var last error
	for _, socket := range a.sockets() {
		probe, cancel := context.WithTimeout(ctx, probeTime)
		s, err := api.Dial(probe, socket, o)
		cancel()
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil || masu.CodeOf(err) != "no_daemon" {
			return nil, err
		}
		last = err
	}
	return nil, masu.E(masu.Unreachable, "no_daemon", strings.Join(a.sockets(), ", ")).Because(last)
}

// with connects, works and hangs up.
func (a *app) with(ctx context.Context, work func(service) error) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return work(s)
}

// which resolves the workspace that a command means: the named one, else the
// one whose project folder we are in, else the only one.
func (a *app) which(ctx context.Context, s masu.Service, args []string) (string, error) {
	if len(args) > 0 && args[0] != "" {
		return args[0], nil
	}
	all, _, err := a.ownAndOpen(ctx, s)
	if err != nil {
		return "", err
	}
	if wd, err := os.Getwd(); err == nil && a.server == nil { // a folder of a laptop is no folder of the server
		if name := workspaceAt(all, wd); name != "" {
			return name, nil
		}
	}
	switch len(all) {
	case 0:
		return "", masu.E(masu.NotFound, "no_workspaces")
	case 1:
		return all[0].Name, nil
	}
	var names []string
	for _, w := range all {
		names = append(names, w.Name)
	}
	return "", masu.E(masu.Invalid, "which_workspace", strings.Join(names, ", "))
}

// here names the workspace whose project folder we are in; "" if there is none.
func (a *app) here(ctx context.Context, s masu.Service) (string, error) {
	if a.server != nil {
		return "", nil
	}
	all, _, err := a.ownAndOpen(ctx, s)
	if err != nil {
		return "", err
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", nil // a folder that is gone is nobody's project
	}
	return workspaceAt(all, wd), nil
}

// workspaceAt finds the workspace whose project folder is dir or the nearest above it.
func workspaceAt(all []masu.Workspace, dir string) string {
	name, depth := "", -1
	for _, w := range all {
		rel, err := filepath.Rel(w.Project.Dir, dir)
		if w.Project.Dir == "" || err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		if len(w.Project.Dir) > depth {
			name, depth = w.Name, len(w.Project.Dir)
		}
	}
	return name
}
