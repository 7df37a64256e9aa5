package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) adminCommand() *cobra.Command {
	c := a.command("admin", "admin", groupServer, a.knownCommand, nil)
	c.AddCommand(a.adminMembersCommand(), a.adminMemberCommand(), a.adminHandoverCommand(), a.adminInviteCommand(), a.adminNoticeCommand(), a.adminCloseCommand(), a.adminOpenCommand(), a.adminRulesCommand())
	return c
}

func (a *app) adminMembersCommand() *cobra.Command {
	c := a.command("admin.members", "members", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Members(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(list)
			}
			t := a.table("col.name", "col.role", "col.running", "col.gpus", "col.most", "col.used", "col.why")
			for _, m := range list {
				t.row(a.memberRow(m)...)
			}
			t.write()
			return nil
		})
	})
	a.jsonFlag(c)
	return c
}

func (a *app) memberRow(m masu.MemberUse) []string {
	used, state := "", ""
	if !m.UsedAt.IsZero() {
		used = m.UsedAt.Local().Format("2006-01-02 15:04")
	}
	switch {
	case m.Disabled:
		state = a.say("member_state.disabled")
	case m.Gone:
		state = a.say("member_state.gone")
	}
	return []string{string(m.Name), a.role(m.Role), fmt.Sprintf("%d/%d", m.Running, m.Workspaces), strconv.Itoa(m.GPUs), strings.Join(text.Limits(a.lang, m.Limits), ", "), used, state}
}

func (a *app) role(r masu.Role) string {
	if r == masu.RoleMember {
		return a.say("role.member")
	}
	return a.say("role." + string(r))
}

func (a *app) adminMemberCommand() *cobra.Command {
	var role string
	var disable, enable bool
	said := map[string]*string{}
	var c *cobra.Command
	c = a.command("admin.member", "member NAME", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		var change masu.MemberChange
		flags := c.Flags()
		if flags.Changed("role") {
			r := masu.Role(role)
			if role == "member" {
				r = masu.RoleMember
			}
			change.Role = &r
		}
		if disable || enable {
			change.Disabled = &disable
		}
		for _, l := range limits() {
			value := *said[l.name]
			if value == asConfigured {
				value = asRuled
			}
			if flags.Changed(l.name) && !l.set(&change.Limits, value) {
				return masu.E(masu.Invalid, "limits_wrong", masu.LeastSize)
			}
		}
		if change == (masu.MemberChange{}) || disable && enable {
			return masu.E(masu.Invalid, "member_change")
		}
		return a.with(ctx, func(s service) error {
			if err := s.ChangeMember(ctx, masu.Username(args[0]), change); err != nil {
				return err
			}
			a.note("member_changed", args[0])
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&role, "role", "", "")
	for _, l := range limits() {
		said[l.name] = f.String(l.name, "", "")
	}
	f.BoolVar(&disable, "disable", false, "")
	f.BoolVar(&enable, "enable", false, "")
	return c
}

func (a *app) adminInviteCommand() *cobra.Command {
	c := a.command("admin.invite", "invite NAME", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			link, err := s.Invite(ctx, masu.Username(args[0]))
			if err != nil {
				return err
			}
			if a.json {
				return a.data(link)
			}
			a.print(link.URL)
			a.note("invite_once", args[0], link.Expires.Local().Format("2006-01-02 15:04"))
			return nil
		})
	})
	a.jsonFlag(c)
	return c
}

// house changes what everybody should know.
func (a *app) house(ctx context.Context, change func(*masu.House)) error {
	return a.with(ctx, func(s service) error {
		hello, err := s.Whoami(ctx)
		if err != nil {
			return err
		}
		change(&hello.House)
		if err := s.SetHouse(ctx, hello.House); err != nil {
			return err
		}
		if hello.House.ClosedAt.IsZero() {
			a.note("house_is_open")
		} else {
			a.note("house_closes", hello.House.ClosedAt.Local().Format("2006-01-02 15:04"))
		}
		return nil
	})
}

func (a *app) adminNoticeCommand() *cobra.Command {
	return a.command("admin.notice", "notice [TEXT]", "", a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.house(ctx, func(h *masu.House) {
			if h.Banner = ""; len(args) > 0 {
				h.Banner = args[0]
			}
		})
	})
}

func (a *app) adminCloseCommand() *cobra.Command {
	var in time.Duration
	c := a.command("admin.close", "close", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.house(ctx, func(h *masu.House) { h.ClosedAt = time.Now().Add(in) })
	})
	c.Flags().DurationVar(&in, "in", 0, "")
	return c
}

func (a *app) adminOpenCommand() *cobra.Command {
	return a.command("admin.open", "open", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.house(ctx, func(h *masu.House) { h.ClosedAt = time.Time{} })
	})
}
