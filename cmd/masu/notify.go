package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) notifyCommand() *cobra.Command {
	var webhook, mail string
	var on []string
	var try, off bool
	var c *cobra.Command
	c = a.command("notify", "notify", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			n, err := s.Notices(ctx)
			if err != nil {
				return err
			}
			f := c.Flags()
			if f.Changed("webhook") {
				n.Webhook = webhook
			}
			if f.Changed("mail") {
				n.Mail = mail
			}
			if f.Changed("on") {
				n.On = nil
				for _, o := range on {
					n.On = append(n.On, masu.Occasion(o))
				}
			}
			if len(n.On) == 0 { // an address alone means: tell me what concerns me
				n.On = []masu.Occasion{masu.OccasionEnded, masu.OccasionEnding, masu.OccasionAsked, masu.OccasionReady, masu.OccasionHouse}
			}
			if off {
				n = masu.NotifyWish{}
			}
			if off || f.Changed("webhook") || f.Changed("mail") || f.Changed("on") {
				if err := s.SetNotices(ctx, n); err != nil {
					return err
				}
				a.note("notify_set")
			}
			if try {
				if err := s.TryNotices(ctx); err != nil {
					return err
				}
				a.note("notify_tried")
				return nil
			}
			return a.showNotices(n)
		})
	})
	f := c.Flags()
	f.StringVar(&webhook, "webhook", "", "")
	f.StringVar(&mail, "mail", "", "")
	f.StringSliceVar(&on, "on", nil, "")
	f.BoolVar(&try, "try", false, "")
	f.BoolVar(&off, "off", false, "")
	a.jsonFlag(c)
	return c
}

func (a *app) showNotices(n masu.NotifyWish) error {
	if a.json {
		return a.data(n)
	}
	if n.Webhook == "" && n.Mail == "" {
		a.note("notify_off")
		return nil
	}
	var on []string
	for _, o := range n.On {
		on = append(on, string(o))
	}
	t := a.table("col.webhook", "col.mail", "col.on")
	t.row(n.Webhook, n.Mail, strings.Join(on, ","))
	t.write()
	return nil
}
