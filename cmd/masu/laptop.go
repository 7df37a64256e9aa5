package main

import (
	"cmp"
	"context"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
)

// here is how this machine is called where a context is asked for.
const here = "default"

// serverCommands are the commands that look at the machine they run on.
var serverCommands = []string{"serve", "config", "doctor", "eject", "backup", "restore", "db"}

// chooseServer finds out where the daemon is: what -H says, else MASU_HOST, else
// the context in use. A socket that is named is on this machine.
func (a *app) chooseServer() error {
	said := cmp.Or(a.host, a.getenv("MASU_HOST"))
	if said == "" && a.getenv("MASU_SOCKET") != "" {
		return nil
	}
	address := said
	if !strings.Contains(said, "://") {
		all, err := a.readContexts()
		if err != nil {
			return err
		}
		name := cmp.Or(said, all.Use, here)
		if name == here {
			return nil
		}
		var ok bool
		if address, ok = all.Servers[name]; !ok {
			return masu.E(masu.NotFound, "context_unknown", name)
		}
	}
	s, err := remote.Parse(address)
	if err != nil {
		return err
	}
	a.server = &s
	return nil
}

// checkServer chooses the server for a command, and refuses what is done on the server itself.
func (a *app) checkServer(c *cobra.Command) error {
	top := c
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	switch top.Name() {
	case "masu", "help", "version", "completion", "man", "context", "dial-stdio":
		return nil
	case cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		a.completing = true
	}
	if err := a.chooseServer(); err != nil || a.server == nil {
		return err
	}
	for _, name := range serverCommands {
		if top.Name() == name {
			return a.onServer(c.CommandPath())
		}
	}
	return nil
}

// onServer says where a command is to be run.
func (a *app) onServer(command string) error {
	line := "ssh SERVER"
	if a.server != nil {
		line = a.server.Command()
	}
	return masu.E(masu.Invalid, "on_server", command, line)
}

// far gives the way to the server.
func (a *app) far() (*remote.Link, error) {
	if a.link != nil {
		return a.link, nil
	}
	folder, err := remote.Folder(a.getenv("XDG_RUNTIME_DIR"))
	if err != nil {
		return nil, err
	}
	a.link, err = remote.New(remote.Config{
		Server: *a.server, Folder: folder, Ask: a.interactive() && !a.completing, Words: a.err, Lang: a.lang,
	})
	return a.link, err
}

// farProject says which workspace or folder `up` means on the server: a name is a
// workspace that is there, and else a folder in the home.
func (a *app) farProject(ctx context.Context, s masu.Service, said, name string) (dir, workspace string, err error) {
	if name == "" && masu.ValidWorkspaceName(said) {
		switch _, err := s.Workspace(ctx, said); {
		case err == nil:
			return "", said, nil
		case masu.KindOf(err) != masu.NotFound:
			return "", "", err
		}
	}
	dir, err = a.farDir(ctx, s, said, true)
	return dir, name, err
}

// farDir gives a folder as the server knows it: below the home there, ~/work
// where none is named. What the laptop's shell has made of ~ is undone.
func (a *app) farDir(ctx context.Context, s masu.Service, said string, create bool) (string, error) {
	hello, err := s.Whoami(ctx)
	if err != nil {
		return "", err
	}
	home := path.Clean(hello.Actor.Home)
	dir := a.belowHome(said)
	if !path.IsAbs(dir) {
		dir = path.Join(home, dir)
	}
	if dir == "/" || dir == home {
		dir = path.Join(home, "work")
		if create {
			if err := s.MakeFolder(ctx, dir); err != nil && masu.CodeOf(err) != "folder_exists" {
				return "", err
			}
		}
	}
	a.note("far_dir", dir, a.server.Host)
	return dir, nil
}

// belowHome gives a path as it stands below a home, or an absolute one of the server's.
func (a *app) belowHome(said string) string {
	if home := filepath.Clean(a.home()); home != "." && home != "/" {
		if rel, err := filepath.Rel(home, said); err == nil && filepath.IsAbs(said) && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return filepath.ToSlash(rel)
		}
	}
	said = filepath.ToSlash(said)
	if rest, ok := strings.CutPrefix(said, "~/"); ok || said == "~" {
		return path.Clean(strings.TrimPrefix(rest, "~"))
	}
	return path.Clean(said)
}
