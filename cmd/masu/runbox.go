package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) runCommand() *cobra.Command {
	var o execOptions
	var r masu.RunRequest
	var dir, image, gpus string
	var env []string
	var quiet bool
	var d detachOptions
	var n notebookOptions
	c := a.command("run", "run [--] [COMMAND [ARG]... | NOTEBOOK.ipynb]", groupWork, a.args(0, -1), func(ctx context.Context, args []string) (err error) {
		if r.Want, err = parseWant(gpus); err != nil {
			return err
		}
		if r.Name != "" && !masu.ValidWorkspaceName(r.Name) {
			return masu.E(masu.Invalid, "name_wrong", r.Name)
		}
		if image != "" && r.Preset != "" {
			return masu.E(masu.Invalid, "image_and_preset")
		}
		r.Image = masu.ImageRef(image)
		if r.Dir, err = a.runDir(dir); err != nil {
			return err
		}
		nb, err := n.notebook(r.Dir, args)
		if err != nil {
			return err
		}
		if d.detach {
			return a.submit(ctx, r, masu.RunWish{Argv: args, Notebook: nb, Env: env}, d)
		}
		if d.given() {
			return masu.E(masu.Invalid, "detach_only")
		}
		e := masu.Exec{Argv: args, Env: env}
		if len(args) == 0 {
			e.Argv = loginShell
		}
		if nb != nil {
			e.Argv = attached(*nb, time.Now())
		}
		return a.runHere(ctx, r, e, o, quiet)
	})
	a.execFlags(c, &o)
	d.flags(c)
	n.flags(c.Flags())
	a.jsonFlag(c)
	f := c.Flags()
	f.StringVar(&r.Name, "name", "", "")
	f.StringVar(&image, "image", "", "")
	f.StringVar(&r.Preset, "preset", "", "")
	f.StringVar(&gpus, "gpus", "", "")
	f.StringVarP(&dir, "dir", "C", "", "")
	f.StringArrayVarP(&env, "env", "e", nil, "")
	f.BoolVarP(&quiet, "quiet", "q", false, "")
	f.Bool("rm", true, "") // docker's habit; a run is always gone when it ends
	c.Flag("rm").Hidden = true
	return c
}

// runHere runs it in the foreground, after what it has to wait for.
func (a *app) runHere(ctx context.Context, r masu.RunRequest, e masu.Exec, o execOptions, quiet bool) error {
	return a.with(ctx, func(s service) (err error) {
		if r.Dir, err = a.farRunDir(ctx, s, r.Dir); err != nil {
			return err
		}
		if err := a.buildFirst(ctx, s, r, o, quiet); err != nil {
			return err
		}
		return a.passThrough(ctx, e, o, func(ctx context.Context, e masu.Exec) (int, error) {
			r.Exec = e
			p := a.progress(quiet || e.TTY) // a raw terminal belongs to the program
			code, err := s.Run(ctx, r, p.tell)
			p.end(err != nil && ctx.Err() == nil)
			return code, err
		})
	})
}

// runDir gives the project folder of a run. A home directory is none: ~/work
// is taken if it is there, and otherwise no folder at all.
func (a *app) runDir(dir string) (string, error) {
	if dir == "" && a.server == nil {
		if wd, err := os.Getwd(); err == nil && (wd == "/" || wd == filepath.Clean(a.home())) {
			work := filepath.Join(a.home(), "work")
			if _, err := os.Stat(work); errors.Is(err, os.ErrNotExist) {
				return "", nil
			}
			return work, nil
		}
	}
	return a.projectDir(dir, false)
}

// farRunDir is the folder of a run on a server elsewhere. Where none is named it
// is ~/work if that is there, and otherwise no folder at all.
func (a *app) farRunDir(ctx context.Context, s masu.Service, said string) (string, error) {
	if a.server == nil {
		return said, nil
	}
	dir, err := a.farDir(ctx, s, said, false)
	if err == nil && said == "" {
		if _, err := s.Browse(ctx, dir); masu.KindOf(err) == masu.NotFound {
			return "", nil
		}
	}
	return dir, err
}

// buildFirst makes the environment of a run that gets a terminal: once the
// terminal is the program's, there is neither a place for progress nor a Ctrl-C
// that would reach masu.
func (a *app) buildFirst(ctx context.Context, s masu.Service, r masu.RunRequest, o execOptions, quiet bool) error {
	if !a.wantsTTY(o) || r.Image != "" || r.Dir == "" {
		return nil
	}
	p := a.progress(quiet)
	_, err := s.Build(ctx, masu.BuildWish{Dir: r.Dir, Preset: r.Preset}, p.tell)
	p.end(err != nil && ctx.Err() == nil)
	return err
}
