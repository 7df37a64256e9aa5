package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

type upOptions struct {
	dir, file, name, preset, gpus, class          string
	restart, noCache, yes, noOpen, detach, noTest bool
	quiet, orCPU                                  bool
}

func (a *app) upCommand() *cobra.Command {
	var o upOptions
	var wait bool
	c := a.command("up", "up [DIR|NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.dir = args[0]
		}
		if wait && o.detach {
			return masu.E(masu.Invalid, "flags_exclude", "--wait, --detach")
		}
		return a.up(ctx, o)
	})
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "")
	f.StringVar(&o.name, "name", "", "")
	f.StringVar(&o.preset, "preset", "", "")
	f.StringVar(&o.gpus, "gpus", "", "")
	f.StringVar(&o.class, "class", "", "")
	f.BoolVar(&o.orCPU, "or-cpu", false, "")
	f.BoolVar(&o.restart, "restart", false, "")
	f.BoolVar(&o.noCache, "no-cache", false, "")
	f.BoolVarP(&o.yes, "yes", "y", false, "")
	f.BoolVar(&o.noOpen, "no-open", false, "")
	f.BoolVar(&o.noTest, "no-check", false, "")
	f.BoolVarP(&o.detach, "detach", "d", false, "")
	f.BoolVar(&wait, "wait", false, "") // the default, for scripts that want to say so
	f.BoolVarP(&o.quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, _ := a.completeNames(c, args, word)
		return names, cobra.ShellCompDirectiveFilterDirs
	}
	return c
}

func (a *app) up(ctx context.Context, o upOptions) error {
	want, err := parseWant(o.gpus)
	if err != nil {
		return err
	}
	if o.name != "" && !masu.ValidWorkspaceName(o.name) {
		return masu.E(masu.Invalid, "name_wrong", o.name)
	}
	dir, compose := "", ""
	if o.file != "" && o.dir == "" {
		o.dir = filepath.Dir(o.file)
	}
	if o.file != "" {
		compose = filepath.Base(o.file)
	}
	if o.file == "" && byName(o.dir) && o.name == "" && a.server == nil {
		o.name = o.dir // a workspace that is there already
	} else if dir, err = a.projectDir(o.dir, true); err != nil {
		return err
	}
	s, err := a.connectOrStart(ctx, o.yes)
	if err != nil {
		return err
	}
	defer s.Close()
	if a.server != nil {
		if dir, o.name, err = a.farProject(ctx, s, o.dir, o.name); err != nil {
			return err
		}
	}
	r := masu.UpRequest{Dir: dir, Compose: compose, Name: o.name, Preset: o.preset, Want: want, Class: o.class, Restart: o.restart, NoCache: o.noCache}
	if o.orCPU || want != nil && !want.None() { // GPUs that are asked for anew are waited for, unless it is said
		r.OrCPU = &o.orCPU
	}
	w, err := s.Up(ctx, r)
	if err != nil {
		return err
	}
	a.notes(w.Project.Notes)
	if !o.detach && w.Phase != masu.Running {
		if w, err = a.await(ctx, s, w, o.quiet); err != nil {
			return err
		}
	}
	return a.welcome(ctx, s, w, o)
}

// byName tells whether what was said is no folder, but may be a workspace.
func byName(said string) bool {
	_, err := os.Lstat(said)
	return masu.ValidWorkspaceName(said) && errors.Is(err, os.ErrNotExist)
}

// await shows how the start goes and returns when it has settled.
func (a *app) await(ctx context.Context, s service, w masu.Workspace, quiet bool) (masu.Workspace, error) {
	p := a.progress(quiet)
	var failure error
	for e, err := range s.Watch(ctx, w.Name) {
		if err != nil {
			failure = err
			break
		}
		p.tell(e)
	}
	if ctx.Err() != nil {
		p.end(false)
		a.note("up_goes_on", w.Name)
		return w, ctx.Err()
	}
	if failure == nil {
		w, failure = s.Workspace(ctx, w.Name)
	}
	if failure == nil && w.Phase != masu.Running {
		failure = masu.E(masu.Conflict, "up_not_running", w.Name, a.phase(w.Phase))
		if w.Trouble != nil {
			failure = w.Trouble.Err()
		}
	}
	p.end(failure != nil)
	return w, failure
}

// welcome tries the workspace through a browser's door and tells where it is.
func (a *app) welcome(ctx context.Context, s service, w masu.Workspace, o upOptions) error {
	var cell *checked
	if !o.detach && !o.noTest {
		c, err := a.tryCell(ctx, s, w.Name, checkCell)
		if err != nil {
			return err
		}
		cell = &c
	}
	hello, err := s.Whoami(ctx)
	if err != nil {
		return err
	}
	var win *window
	if !o.detach && !o.noOpen && !o.quiet && !a.json {
		if win, err = a.pagesHere(ctx, hello); err != nil {
			return err
		}
	}
	link, err := a.oneTimeLink(ctx, s, w.Name, win)
	if err != nil {
		return err
	}
	if a.json {
		return a.data(struct {
			masu.Workspace
			Open  masu.OpenLink `json:"open"`
			Check *checked      `json:"check,omitempty"`
		}{w, link, cell})
	}
	if o.quiet {
		a.print(link.URL)
		return nil
	}
	if cell != nil {
		a.note("check_passed", cell.Output, elapsed(cell.took()))
	}
	if o.detach {
		a.note("up_detached", w.Name, a.phase(w.Phase))
	} else {
		a.note("up_ready", w.Name, w.Project.Dir)
	}
	if w.Waits {
		a.note("up_on_cpu", w.Name)
	}
	a.notes(hello.Notes)
	if hello.Version != version && a.server == nil && (hello.Personal || os.Geteuid() == 0) { // others cannot do anything about it
		a.note("version_differs", hello.Version, version, filepath.Join(a.stateDir(), "lock"))
	}
	return a.show(ctx, link, hello, win, w.Name, !o.noOpen)
}

// address prints where the notebook is, and how to come there from a laptop.
func (a *app) address(link masu.OpenLink, hello masu.Hello) {
	fmt.Fprintln(a.err)
	a.print("  " + link.URL)
	fmt.Fprintln(a.err)
	a.note("link_once", link.Expires.Local().Format("15:04:05"))
	port, local := loopbackPort(hello.Pages)
	if !local && strings.HasPrefix(hello.Pages, "http://") {
		a.note("note_plain_http")
	}
	if local && a.server == nil {
		a.note("link_laptop", fmt.Sprintf("ssh -L %[1]s:localhost:%[1]s %[2]s@%[3]s", port, hello.Actor.Name, hello.HostName))
	}
}

// phase names a phase for people.
func (a *app) phase(p masu.Phase) string { return a.say("phase." + string(p)) }

// parseWant reads --gpus: "1", "all", "none", or "count=1,memory=24GiB,model=A100,share=8GiB".
func parseWant(s string) (*masu.Want, error) {
	wrong := masu.E(masu.Invalid, "gpus_wrong", s)
	switch s {
	case "":
		return nil, nil
	case "none", "0":
		return &masu.Want{}, nil
	case "all":
		return &masu.Want{All: true}, nil
	}
	w := &masu.Want{}
	if n, ok := number(s); ok {
		w.Count = n
		return w, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return nil, wrong
		}
		var good bool
		switch key {
		case "count":
			w.Count, good = number(value)
		case "memory":
			w.Memory, good = masu.ParseBytes(value)
		case "share":
			w.Share, good = masu.ParseBytes(value)
		case "model":
			w.Model, good = value, true
		}
		if !good {
			return nil, wrong
		}
	}
	if w.Count == 0 && w.Share == 0 {
		w.Count = 1
	}
	return w, nil
}
