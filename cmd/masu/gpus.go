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

const gpusEvery = 2 * time.Second // how often --watch looks

func (a *app) gpusCommand() *cobra.Command {
	var watch bool
	c := a.command("gpus", "gpus", groupWork, a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			if watch {
				return a.watchGPUs(ctx, s)
			}
			b, err := s.Board(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(struct {
					GPUs     []masu.BoardGPU    `json:"gpus"`
					Waiting  []masu.Wait        `json:"waiting"`
					Reserved []masu.Reservation `json:"reserved"`
				}{b.GPUs, b.Waiting, b.Reserved})
			}
			a.gpuBoard(b, nil)
			if b.Unknown == nil && len(b.GPUs) > 0 {
				return a.foretell(ctx, s)
			}
			return nil
		})
	})
	c.Aliases = []string{"gpu"}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "")
	a.jsonFlag(c)
	c.AddCommand(a.askCommand())
	return c
}

// foretell says what somebody who wants a GPU now can expect.
func (a *app) foretell(ctx context.Context, s masu.Service) error {
	f, err := s.Forecast(ctx, masu.Want{Count: 1})
	switch {
	case err != nil:
		return err
	case f.Place == 0:
		a.note("forecast_now")
	case f.Blocked != masu.WaitGPUs:
		a.note("forecast_limit")
	case f.Expect.IsZero():
		a.note("forecast_wait", fmt.Sprint(f.Place))
	default:
		a.note("forecast_by", fmt.Sprint(f.Place), a.clock(f.Expect))
	}
	return nil
}

// watchGPUs shows the board again and again, with how busy each card was lately, until the user ends it.
func (a *app) watchGPUs(ctx context.Context, s masu.Service) error {
	past := map[masu.GPUID][]float64{}
	tick := time.NewTicker(gpusEvery)
	defer tick.Stop()
	_, tty := terminal(a.out)
	for {
		b, err := s.Board(ctx)
		if err != nil {
			return err
		}
		for _, g := range b.GPUs {
			busy := -1.0
			if g.Reading != nil {
				busy = g.Reading.Busy
			}
			list := append(past[g.ID], busy)
			past[g.ID] = list[max(0, len(list)-sparksMost):]
		}
		if tty {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J") // home, and an empty screen
			a.print(a.say("gpus_at", b.At.Local().Format("15:04:05")) + "\n")
		}
		a.gpuBoard(b, past)
		select {
		case <-ctx.Done():
			return nil // the way to end it
		case <-tick.C:
		}
	}
}

// gpuBoard writes who has which GPU, who waits, and what is reserved.
func (a *app) gpuBoard(b masu.Board, past map[masu.GPUID][]float64) {
	switch {
	case b.Unknown != nil:
		why, _ := text.Error(a.lang, b.Unknown.Err())
		a.note("gpus_unknown", why)
		return
	case len(b.GPUs) == 0:
		a.note("gpus_none")
		return
	}
	headings := []string{"col.gpu", "col.model", "col.memory", "col.held_by", "col.until", "col.use"}
	if past != nil {
		headings = append(headings, "col.lately")
	}
	t := a.table(headings...)
	for _, g := range b.GPUs {
		row := []string{fmt.Sprint(g.Index), strings.TrimPrefix(g.Model, "NVIDIA "), memoryText(g.Memory), a.holders(g), a.untils(g), a.readingText(g.Reading)}
		if past != nil {
			row = append(row, sparks(past[g.ID]))
		}
		t.row(row...)
	}
	t.write()
	if len(b.Waiting) > 0 {
		a.print("")
		t = a.table("col.place", "col.held_by", "col.gpus", "col.waits", "col.expected")
		for _, w := range b.Waiting {
			t.row(fmt.Sprint(w.Place), string(w.Holder), wantText(w.Want), a.since(w.At), a.clock(w.Expect))
		}
		t.write()
	}
	if len(b.Reserved) > 0 {
		a.print("")
		a.reservationTable(b.Reserved, b.GPUs)
	}
}

// holders says who has a GPU, in one cell.
func (a *app) holders(g masu.BoardGPU) string {
	var who []string
	for _, h := range g.Holds {
		name := string(h.Member)
		if h.Workspace != "" {
			name += "/" + h.Workspace
		}
		if len(h.Notebooks) > 0 {
			name += ": " + strings.Join(h.Notebooks, ", ")
		}
		if h.Share > 0 {
			name += " (" + h.Share.String() + ")"
		}
		if h.Lost {
			name = a.say("gpus_lost", name)
		}
		who = append(who, name)
	}
	for _, o := range g.Outside {
		who = append(who, a.say("gpus_outside", cmp.Or(o.Login, "?"), cmp.Or(o.Command, "?")))
	}
	if g.Fault != "" {
		who = append(who, text.Fault(a.lang, g.Fault))
	}
	if len(who) == 0 {
		return a.say("gpus_free")
	}
	return strings.Join(who, ", ")
}

func (a *app) untils(g masu.BoardGPU) string {
	var all []string
	for _, h := range g.Holds {
		switch {
		case !h.EndsAt.IsZero():
			all = append(all, a.clock(h.EndsAt)+"!")
		case !h.Until.IsZero():
			all = append(all, a.clock(h.Until))
		}
	}
	return strings.Join(all, ", ")
}

// clock is a time for people, with its day where that is not today; as RFC 3339 for programs.
func (a *app) clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if _, tty := terminal(a.out); !tty {
		return at.Format(time.RFC3339)
	}
	return text.Near(at, time.Now())
}

// memoryText is a card's memory; "" where nobody knows it.
func memoryText(b masu.Bytes) string {
	if b == 0 {
		return ""
	}
	return b.String()
}

func (a *app) readingText(r *masu.Reading) string {
	if r == nil {
		return ""
	}
	parts := []string{"  ?%"} // a slice does not tell
	if r.Busy >= 0 {
		parts[0] = fmt.Sprintf("%3.0f%%", 100*r.Busy)
	}
	if r.Memory >= 0 {
		parts = append(parts, r.Memory.String())
	}
	if r.Temperature >= 0 {
		parts = append(parts, fmt.Sprintf("%.0f °C", r.Temperature))
	}
	if r.Power >= 0 {
		parts = append(parts, fmt.Sprintf("%.0f W", r.Power))
	}
	if r.Faults > 0 {
		parts = append(parts, a.say("gpu_errors", r.Faults))
	}
	return strings.Join(parts, "  ")
}

const sparksMost = 30

// sparks draws how busy a card was: a column for each look; a dot where nobody knows.
func sparks(past []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range past {
		if v < 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(levels[min(int(v*float64(len(levels))), len(levels)-1)])
	}
	return b.String()
}

// wantText is a want as --gpus takes it.
func wantText(w masu.Want) string {
	switch {
	case w.All:
		return "all"
	case w == masu.Want{Count: w.Count}:
		return fmt.Sprint(w.Count)
	}
	var parts []string
	if w.Share > 0 {
		parts = append(parts, "share="+w.Share.String())
	} else {
		parts = append(parts, fmt.Sprintf("count=%d", w.Count))
	}
	if w.Memory > 0 {
		parts = append(parts, "memory="+w.Memory.String())
	}
	if w.Model != "" {
		parts = append(parts, "model="+w.Model)
	}
	return strings.Join(parts, ",")
}
