package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
)

// contexts are the servers that a member gave names.
type contexts struct {
	Use     string            `json:"use,omitempty"` // the one that commands go to; "" is this machine
	Servers map[string]string `json:"servers,omitempty"`
}

const maxContexts = 64 << 10 // bytes of their file

// goodContext tells whether a name may be given to a server.
func goodContext(name string) bool {
	s, err := remote.Parse("ssh://" + name) // as a host may be called
	return err == nil && s == (remote.Server{Host: name}) && len(name) < 64 && name != here
}

func (a *app) contextsPath() string {
	dir := cmp.Or(a.getenv("XDG_CONFIG_HOME"), filepath.Join(a.home(), ".config"))
	return filepath.Join(dir, "masu", "contexts.json")
}

// readContexts reads the file strictly; one that is not there is empty.
func (a *app) readContexts() (contexts, error) {
	file, err := os.Open(a.contextsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return contexts{}, nil
	}
	if err != nil {
		return contexts{}, masu.E(masu.Invalid, "contexts_wrong", a.contextsPath()).Because(err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxContexts))
	if err != nil {
		return contexts{}, masu.E(masu.Invalid, "contexts_wrong", a.contextsPath()).Because(err)
	}
	all, err := parseContexts(b)
	if err != nil {
		return contexts{}, masu.E(masu.Invalid, "contexts_wrong", a.contextsPath()).Because(err)
	}
	return all, nil
}

func parseContexts(b []byte) (all contexts, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return contexts{}, err
	}
	if d.More() {
		return contexts{}, errors.New("something follows the object")
	}
	for name, address := range all.Servers {
		if _, err := remote.Parse(address); err != nil || !goodContext(name) {
			return contexts{}, errors.Join(errors.New(name), err)
		}
	}
	if _, ok := all.Servers[all.Use]; !ok && all.Use != "" {
		return contexts{}, errors.New(all.Use)
	}
	return all, nil
}

// writeContexts puts the file in the place of the old one, whole or not at all.
func (a *app) writeContexts(all contexts) error {
	path := a.contextsPath()
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = replaceFile(path, append(b, '\n'))
	}
	if err != nil {
		return masu.E(masu.Invalid, "cannot_write", path).Because(err)
	}
	return nil
}

func (a *app) contextCommand() *cobra.Command {
	c := a.command("context", "context", groupOther, a.knownCommand, nil)
	c.AddCommand(a.contextLsCommand(), a.contextAddCommand(), a.contextUseCommand(), a.contextRmCommand())
	return c
}

func (a *app) contextLsCommand() *cobra.Command {
	c := a.command("context.ls", "ls", "", a.args(0, 0), func(context.Context, []string) error {
		all, err := a.readContexts()
		if err != nil {
			return err
		}
		if a.json {
			return a.data(all)
		}
		t := a.table("col.in_use", "col.name", "col.address")
		row := func(name, address string) {
			mark := ""
			if name == cmp.Or(all.Use, here) {
				mark = "*"
			}
			t.row(mark, name, address)
		}
		row(here, a.say("context_here"))
		for _, name := range slices.Sorted(maps.Keys(all.Servers)) {
			row(name, all.Servers[name])
		}
		t.write()
		return nil
	})
	a.jsonFlag(c)
	return c
}

func (a *app) contextAddCommand() *cobra.Command {
	return a.command("context.add", "add NAME URL", "", a.args(2, 2), func(_ context.Context, args []string) error {
		name := args[0]
		if !goodContext(name) {
			return masu.E(masu.Invalid, "context_name", name)
		}
		server, err := remote.Parse(args[1])
		if err != nil {
			return err
		}
		return a.changeContexts(func(all *contexts) error {
			if old, ok := all.Servers[name]; ok && old != server.String() {
				return masu.E(masu.Conflict, "context_exists", name, old)
			}
			if all.Servers == nil {
				all.Servers = map[string]string{}
			}
			first := len(all.Servers) == 0
			all.Servers[name] = server.String()
			a.note("context_added", name, server)
			if first && all.Use == "" { // who names their first server means it
				all.Use = name
				a.note("context_used", name)
			}
			return nil
		})
	})
}

func (a *app) contextUseCommand() *cobra.Command {
	c := a.command("context.use", "use NAME", "", a.args(1, 1), func(_ context.Context, args []string) error {
		return a.changeContexts(func(all *contexts) error {
			if _, ok := all.Servers[args[0]]; !ok && args[0] != here {
				return masu.E(masu.NotFound, "context_unknown", args[0])
			}
			if all.Use = args[0]; all.Use == here {
				all.Use = ""
				a.note("context_here_used")
				return nil
			}
			a.note("context_used", all.Use)
			return nil
		})
	})
	c.ValidArgsFunction = a.completeContexts
	return c
}

func (a *app) contextRmCommand() *cobra.Command {
	c := a.command("context.rm", "rm NAME...", "", a.args(1, -1), func(_ context.Context, args []string) error {
		return a.changeContexts(func(all *contexts) error {
			for _, name := range args {
				if _, ok := all.Servers[name]; !ok {
					return masu.E(masu.NotFound, "context_unknown", name)
				}
				delete(all.Servers, name)
				if all.Use == name {
					all.Use = ""
				}
				a.note("context_gone", name)
			}
			return nil
		})
	})
	c.ValidArgsFunction = a.completeContexts
	return c
}

func (a *app) changeContexts(change func(*contexts) error) error {
	all, err := a.readContexts()
	if err != nil {
		return err
	}
	if err := change(&all); err != nil {
		return err
	}
	return a.writeContexts(all)
}

func (a *app) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, _ := a.readContexts() // an error in the middle of a command line helps nobody
	names := []cobra.Completion{here}
	for _, name := range slices.Sorted(maps.Keys(all.Servers)) {
		names = append(names, cobra.CompletionWithDesc(name, all.Servers[name]))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
