package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) buildCommand() *cobra.Command {
	var wish masu.BuildWish
	var quiet, yes bool
	c := a.command("build", "build [DIR]", groupMake, a.args(0, 1), func(ctx context.Context, args []string) (err error) {
		dir := ""
		if len(args) > 0 {
			dir = args[0]
		}
		if wish.Dir, err = a.projectDir(dir, false); err != nil {
			return err
		}
		s, err := a.connectOrStart(ctx, yes)
		if err != nil {
			return err
		}
		defer s.Close()
		if a.server != nil {
			if wish.Dir, err = a.farDir(ctx, s, dir, false); err != nil {
				return err
			}
		}
		p := a.progress(quiet)
		image, err := s.Build(ctx, wish, p.tell)
		p.end(err != nil && ctx.Err() == nil)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, context.Canceled) {
				a.note("build_cancelled")
			}
			return err
		}
		if a.json {
			return a.data(image)
		}
		if quiet {
			a.print(image.ID)
			return nil
		}
		ref := image.ID
		if len(image.Refs) > 0 {
			ref = string(image.Refs[0])
		}
		a.note("build_done", ref, image.Size)
		return nil
	})
	f := c.Flags()
	f.StringVar(&wish.Preset, "preset", "", "")
	f.BoolVar(&wish.NoCache, "no-cache", false, "")
	f.BoolVar(&wish.Compact, "compact", false, "")
	f.BoolVarP(&yes, "yes", "y", false, "")
	f.BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	return c
}
