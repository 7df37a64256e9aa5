package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) imagesCommand() *cobra.Command {
	var quiet bool
	c := a.command("images", "images", groupMake, a.knownCommand, func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Images(ctx)
			if err != nil {
				return err
			}
			return a.listImages(list, quiet)
		})
	})
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	c.Aliases = []string{"image"}
	c.AddCommand(a.imagesSaveCommand(), a.imagesLoadCommand(), a.imagesPushCommand(), a.imagesPullCommand(), a.imagesSBOMCommand(), a.imagesRmCommand(), a.imagesPruneCommand())
	return c
}

func (a *app) imagesRmCommand() *cobra.Command {
	return a.command("images.rm", "rm IMAGE...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			for _, ref := range args {
				if err := s.RemoveImage(ctx, masu.ImageRef(ref)); err != nil {
					return err
				}
				a.note("image_removed", ref)
			}
			return nil
		})
	})
}

func (a *app) imagesPruneCommand() *cobra.Command {
	var dry, yes bool
	c := a.command("images.prune", "prune", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.PruneImages(ctx, true)
			if err != nil {
				return err
			}
			if !dry && len(list) > 0 && !yes {
				if !a.json {
					if err := a.listImages(list, false); err != nil {
						return err
					}
				}
				ok, err := a.confirm(ctx, a.say("prune_sure", len(list), total(list)), "--yes")
				if err != nil {
					return err
				}
				if !ok {
					return masu.E(masu.Cancelled, "prune_not_done")
				}
			}
			if !dry {
				if list, err = s.PruneImages(ctx, false); err != nil {
					return err
				}
			}
			if err := a.listImages(list, false); err != nil || a.json {
				return err
			}
			code := "prune_done"
			if dry {
				code = "prune_would"
			}
			a.note(code, len(list), total(list))
			return nil
		})
	})
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	a.jsonFlag(c)
	return c
}

func (a *app) listImages(list []masu.ImageUse, quiet bool) error {
	if a.json {
		if list == nil {
			list = []masu.ImageUse{}
		}
		return a.data(list)
	}
	if quiet {
		for _, i := range list {
			a.print(imageName(i))
		}
		return nil
	}
	if len(list) == 0 {
		a.note("images_empty")
		return nil
	}
	t := a.table("col.image", "col.size", "col.created", "col.owners", "col.workspaces")
	for _, i := range list {
		var owners []string
		for _, o := range i.Owners {
			owners = append(owners, string(o))
		}
		t.row(imageName(i), i.Size.String(), a.since(i.Created), strings.Join(owners, " "), strings.Join(i.Workspaces, " "))
	}
	t.write()
	return nil
}

func imageName(i masu.ImageUse) string {
	if len(i.Refs) > 0 {
		return string(i.Refs[0])
	}
	return i.ID
}

func total(list []masu.ImageUse) masu.Bytes {
	var sum masu.Bytes
	for _, i := range list {
		sum += i.Size
	}
	return sum
}
