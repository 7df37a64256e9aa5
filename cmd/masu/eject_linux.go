package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

func (a *app) ejectCommand() *cobra.Command {
	var to string
	var force, dry bool
	c := a.command("eject", "eject [DIR]", groupMake, a.args(0, 1), func(ctx context.Context, args []string) error {
		dir := ""
		if len(args) > 0 {
			dir = args[0]
		}
		dir, err := a.projectDir(dir, false)
		if err != nil {
			return err
		}
		if to == "" {
			to = dir
		}
		if to, err = filepath.Abs(to); err != nil {
			return masu.E(masu.NotFound, "cwd_gone").Because(err)
		}
		return a.with(ctx, func(s service) error {
			plan, err := s.Read(ctx, dir)
			if err != nil {
				return err
			}
			a.notes(plan.Notes)
			hello, err := s.Whoami(ctx)
			if err != nil {
				return err
			}
			file, err := readConfig(a.configPath())
			if err != nil {
				return err
			}
			table, err := versionTable(file.Versions)
			if err != nil {
				return err
			}
			files, err := recipe.Eject(recipe.EjectConfig{Project: plan.Project, Host: hello.Host, Versions: table, Site: file.Site, CAs: authorities(file.Site)})
			if err != nil {
				return err
			}
			return a.writeFiles(to, files, force, dry)
		})
	})
	c.Flags().StringVar(&to, "to", "", "")
	c.Flags().BoolVar(&force, "force", false, "")
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "")
	return c
}

// writeFiles writes all files or, when one is there already, none. They are
// written below an opened folder, so that no link leads them out of it.
func (a *app) writeFiles(dir string, files []masu.File, force, dry bool) error {
	if dry {
		for _, f := range files {
			a.print(filepath.Join(dir, f.Path))
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return masu.E(masu.Invalid, "cannot_write", dir).Because(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return masu.E(masu.Invalid, "cannot_write", dir).Because(err)
	}
	defer root.Close()
	for _, f := range files {
		if old, err := root.ReadFile(f.Path); !force && !errors.Is(err, fs.ErrNotExist) && string(old) != f.Text {
			return masu.E(masu.Invalid, "eject_exists", filepath.Join(dir, f.Path))
		}
	}
	for _, f := range files {
		if err := a.writeBelow(root, f); err != nil {
			return masu.E(masu.Invalid, "cannot_write", filepath.Join(dir, f.Path)).Because(err)
		}
		a.note("eject_wrote", filepath.Join(dir, f.Path))
	}
	a.note("eject_next", dir)
	return nil
}
