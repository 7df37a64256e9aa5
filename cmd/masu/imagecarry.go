package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sbom"
)

func (a *app) imagesSaveCommand() *cobra.Command {
	var quiet, force bool
	c := a.command("images.save", "save NAME FILE", "", a.args(2, 2), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.environmentName(ctx, s, args[0])
			if err != nil {
				return err
			}
			if args[1] == "-" {
				return s.SaveImage(ctx, name, a.out)
			}
			if _, err := os.Lstat(args[1]); err == nil && !force {
				return masu.E(masu.Invalid, "save_exists", args[1])
			}
			p := a.progress(quiet)
			size, err := saveWhole(args[1], func(w io.Writer) error {
				return s.SaveImage(ctx, name, &counting{p: p, name: args[1], w: w})
			})
			p.end(err != nil && ctx.Err() == nil)
			if err != nil {
				return err
			}
			a.note("image_saved", args[1], masu.Bytes(size))
			return nil
		})
	})
	c.Flags().BoolVar(&force, "force", false, "")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	return c
}

// saveWhole writes a file that is there under its name only when it is whole.
func saveWhole(path string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return 0, masu.E(masu.Invalid, "cannot_write", path).Because(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if info, serr := f.Stat(); serr == nil {
		size = info.Size()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		err = masu.E(masu.Invalid, "cannot_write", path).Because(err)
	}
	return size, err
}

// counting tells how many bytes have passed.
type counting struct {
	p           *progress
	name        string
	r           io.Reader
	w           io.Writer
	moved, told masu.Bytes
	total       masu.Bytes
}

func (c *counting) pass(n int) {
	c.moved += masu.Bytes(n)
	if c.moved-c.told >= 4*masu.MiB || c.told == 0 {
		c.told = c.moved
		c.p.tell(masu.Progress{Step: "file", Name: c.name, State: masu.StepRunning, Current: c.moved, Total: max(c.total, c.moved)})
	}
}

// Write passes on.
func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.pass(n)
	return n, err
}

// Read passes on.
func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.pass(n)
	return n, err
}

func (a *app) imagesLoadCommand() *cobra.Command {
	var quiet bool
	c := a.command("images.load", "load FILE", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			from, size := a.in, int64(0)
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return masu.E(masu.Invalid, "file_unreadable", args[0]).Because(err)
				}
				defer f.Close()
				if info, err := f.Stat(); err == nil {
					size = info.Size()
				}
				from = f
			}
			p := a.progress(quiet)
			img, err := s.LoadImage(ctx, &counting{p: p, name: args[0], r: from, total: masu.Bytes(size)}, p.tell)
			p.end(err != nil && ctx.Err() == nil)
			return a.tookIn(img, err)
		})
	})
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	return c
}

// tookIn tells what has come in, and how to use it.
func (a *app) tookIn(img masu.Image, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return a.data(img)
	}
	ref := img.ID
	for _, r := range img.Refs {
		if strings.HasPrefix(string(r), "masu/of-") {
			ref = string(r)
		}
	}
	a.print(ref)
	a.note("image_next", ref)
	return nil
}

func (a *app) imagesPushCommand() *cobra.Command {
	var quiet bool
	c := a.command("images.push", "push NAME REF", "", a.args(2, 2), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.environmentName(ctx, s, args[0])
			if err != nil {
				return err
			}
			t := masu.Transfer{Name: name, Ref: masu.ImageRef(args[1])}
			if t.Auth, err = a.registryAuth(ctx, args[1]); err != nil {
				return err
			}
			p := a.progress(quiet)
			err = s.PushImage(ctx, t, p.tell)
			p.end(err != nil && ctx.Err() == nil)
			if err == nil {
				a.note("image_pushed", args[1])
			}
			return err
		})
	})
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	return c
}

func (a *app) imagesPullCommand() *cobra.Command {
	var quiet bool
	c := a.command("images.pull", "pull REF", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) (err error) {
			t := masu.Transfer{Ref: masu.ImageRef(args[0])}
			if t.Auth, err = a.registryAuth(ctx, args[0]); err != nil {
				return err
			}
			p := a.progress(quiet)
			img, err := s.PullImage(ctx, t, p.tell)
			p.end(err != nil && ctx.Err() == nil)
			return a.tookIn(img, err)
		})
	})
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	return c
}

func (a *app) imagesSBOMCommand() *cobra.Command {
	return a.command("images.sbom", "sbom NAME", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.environmentName(ctx, s, args[0])
			if err != nil {
				return err
			}
			c, err := s.Contents(ctx, name)
			if err == nil {
				_, err = a.out.Write(sbom.Of(c, version).JSON())
			}
			return err
		})
	})
}

// environmentName is what the daemon knows by what somebody wrote: a folder by its path, or a name as it stands.
func (a *app) environmentName(ctx context.Context, s service, said string) (string, error) {
	if said != "." && said != ".." && !strings.HasPrefix(said, "./") && !strings.HasPrefix(said, "../") && !strings.HasPrefix(said, "/") && !strings.HasPrefix(said, "~") {
		return said, nil
	}
	if a.server != nil {
		return a.farDir(ctx, s, said, false)
	}
	return a.projectDir(said, false)
}
