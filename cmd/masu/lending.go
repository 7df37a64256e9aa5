package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) extendCommand() *cobra.Command {
	var by string
	c := a.command("extend", "extend [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		d, err := duration(by).value()
		if err != nil || d <= 0 {
			return masu.E(masu.Invalid, "extend_odd", by)
		}
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			lease, err := s.Extend(ctx, name, d)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(lease)
			}
			if lease.Until.IsZero() {
				a.note("extended_open", name)
			} else {
				a.note("extended", name, text.Near(lease.Until, time.Now()))
			}
			return nil
		})
	})
	c.Flags().StringVar(&by, "for", "2h", "")
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}

func (a *app) releaseCommand() *cobra.Command {
	c := a.command("release", "release [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			w, err := s.Release(ctx, name)
			if err != nil {
				return err
			}
			a.note("released", w.Name)
			return nil
		})
	})
	c.ValidArgsFunction = a.completeNames
	return c
}

func (a *app) askCommand() *cobra.Command {
	return a.command("gpus.ask", "ask MEMBER", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			b, err := s.Board(ctx)
			if err != nil {
				return err
			}
			asked := map[masu.LeaseID]bool{}
			for _, g := range b.GPUs {
				for _, h := range g.Holds {
					if string(h.Member) != args[0] || asked[h.Lease] {
						continue
					}
					asked[h.Lease] = true
					if err := s.AskFor(ctx, h.Lease); err != nil {
						return err
					}
				}
			}
			if len(asked) == 0 {
				return masu.E(masu.NotFound, "ask_nobody", args[0])
			}
			a.note("asked", args[0])
			return nil
		})
	})
}

func (a *app) reserveCommand() *cobra.Command {
	var w masu.ReserveWish
	var from, until, span, who string
	c := a.command("reserve", "reserve [GPUS]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return a.listReservations(ctx)
		}
		want, err := parseWant(args[0])
		if err != nil {
			return err
		}
		w.Want, w.For = *want, masu.Username(who)
		if err := reserveSpan(&w, from, until, span, time.Now()); err != nil {
			return err
		}
		return a.with(ctx, func(s service) error {
			list, err := s.Reserve(ctx, w)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(list)
			}
			for _, r := range list {
				a.note("reserved", wantText(r.Want), r.From.Local().Format("2006-01-02 15:04"), r.Until.Local().Format("01-02 15:04"), string(r.ID))
			}
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&from, "from", "now", "")
	f.StringVar(&until, "until", "", "")
	f.StringVar(&span, "for", "", "")
	f.IntVar(&w.Weeks, "weeks", 1, "")
	f.StringVar(&w.Note, "note", "", "")
	f.StringVar(&who, "member", "", "")
	a.jsonFlag(c)
	c.AddCommand(a.reserveRmCommand())
	return c
}

// reserveSpan reads from when until when: by an end, or by how long.
func reserveSpan(w *masu.ReserveWish, from, until, span string, now time.Time) error {
	var ok bool
	if w.From, ok = when(from, now); !ok {
		return masu.E(masu.Invalid, "when_wrong", from)
	}
	switch {
	case (until == "") == (span == ""):
		return masu.E(masu.Invalid, "reserve_end")
	case until != "":
		if w.Until, ok = when(until, w.From); !ok {
			return masu.E(masu.Invalid, "when_wrong", until)
		}
	default:
		d, err := duration(span).value()
		if err != nil || d <= 0 {
			return masu.E(masu.Invalid, "when_wrong", span)
		}
		w.Until = w.From.Add(d)
	}
	return nil
}

// listReservations shows those of the coming weeks.
func (a *app) listReservations(ctx context.Context) error {
	return a.with(ctx, func(s service) error {
		now := time.Now()
		list, err := s.Reservations(ctx, now, now.AddDate(1, 0, 0))
		if err != nil {
			return err
		}
		if a.json {
			return a.data(append([]masu.Reservation{}, list...))
		}
		if len(list) == 0 {
			a.note("reservations_none")
			return nil
		}
		b, err := s.Board(ctx)
		if err != nil {
			return err
		}
		a.reservationTable(list, b.GPUs)
		return nil
	})
}

func (a *app) reservationTable(list []masu.Reservation, gpus []masu.BoardGPU) {
	index := map[masu.GPUID]string{}
	for _, g := range gpus {
		index[g.ID] = fmt.Sprint(g.Index)
	}
	t := a.table("col.from", "col.until", "col.gpus", "col.held_by", "col.note", "col.id")
	for _, r := range list {
		var ids []string
		for _, g := range r.GPUs {
			ids = append(ids, cmp.Or(index[g], string(g)))
		}
		note := r.Note
		if r.Missed {
			note = strings.TrimSpace(a.say("reservation_missed") + " " + note)
		}
		t.row(a.clock(r.From), a.clock(r.Until), strings.Join(ids, " "), string(r.Holder), note, string(r.ID))
	}
	t.write()
}

func (a *app) reserveRmCommand() *cobra.Command {
	var series bool
	c := a.command("reserve.rm", "rm ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			if err := s.Unreserve(ctx, masu.ReservationID(args[0]), series); err != nil {
				return err
			}
			a.note("unreserved")
			return nil
		})
	})
	c.Flags().BoolVar(&series, "series", false, "")
	return c
}
