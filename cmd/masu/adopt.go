package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) adoptCommand() *cobra.Command {
	w := masu.AdoptWish{Ports: map[string]int{}}
	var owner string
	var apps []string
	var port int
	c := a.command("adopt", "adopt CONTAINER", groupServer, a.args(1, 1), func(ctx context.Context, args []string) error {
		w.Container, w.Owner = args[0], masu.Username(owner)
		w.Ports["jupyter"] = port
		for _, said := range apps {
			name, at, _ := strings.Cut(said, "=")
			n, ok := number(at)
			if !ok {
				return masu.E(masu.Invalid, "adopt_wish")
			}
			w.Ports[name] = n
		}
		return a.with(ctx, func(s service) error {
			got, err := s.Adopt(ctx, w)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(got)
			}
			a.note("adopted_now", got.Adopted.Container, string(got.Owner)+"/"+got.Name)
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&owner, "owner", "", "")
	f.StringVar(&w.Name, "name", "", "")
	f.IntVar(&port, "port", 8888, "")
	f.StringSliceVar(&apps, "app", nil, "")
	a.jsonFlag(c)
	return c
}

func (a *app) unadoptCommand() *cobra.Command {
	return a.command("unadopt", "unadopt OWNER/NAME", groupServer, a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			if err := s.Unadopt(ctx, args[0]); err != nil {
				return err
			}
			a.note("unadopted", args[0])
			return nil
		})
	})
}
