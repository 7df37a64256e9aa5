package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// boardView is the server as measuring boxes: what is full, how full, and whose it is.
type boardView struct {
	Boxes []measureView
	GPUs  []gpuView
	Users []useView
}

// measureView is one box: CPU, memory or disk.
type measureView struct {
	Name   string
	Fill   int    // percent
	Inside string // what is used
	Below  string // of how much
}

// useView is what one member has running.
type useView struct {
	Member masu.Username
	Mine   bool
	What   string
	Since  time.Time
}

func newBoard(lang masu.Lang, b masu.Board, me masu.Username, mine map[masu.GPUID]string) boardView {
	var v boardView
	if f := b.Host.CPU; f.Total > 0 {
		v.Boxes = append(v.Boxes, measureView{"CPU", f.Percent(), fmt.Sprintf("%d%%", f.Percent()), text.Say(lang, "web.cores", int(f.Total))})
	}
	for _, m := range []struct {
		name string
		fill masu.Fill
	}{{"web.memory", b.Host.Memory}, {"web.disk", b.Images}} {
		if m.fill.Total > 0 {
			v.Boxes = append(v.Boxes, measureView{text.Say(lang, m.name), m.fill.Percent(), masu.Bytes(m.fill.Used).String(), text.Say(lang, "web.of", masu.Bytes(m.fill.Total).String())})
		}
	}
	for _, g := range b.GPUs {
		v.GPUs = append(v.GPUs, newGPU(lang, g, me, mine[g.ID]))
	}
	for _, u := range b.Users {
		parts := []string{masu.Bytes(u.Memory).String(), fmt.Sprintf("CPU %.1f", u.CPU)}
		if u.GPUs > 0 {
			parts = append(parts, text.Say(lang, "web.gpus", u.GPUs))
		}
		v.Users = append(v.Users, useView{u.Member, u.Member == me, strings.Join(parts, " · "), u.Since})
	}
	return v
}

// board gives the board as it is now, for the page's script. The page itself
// does not wait for it: measuring may take a second.
func (s *Server) board(w http.ResponseWriter, r *http.Request, v *visit) error {
	b, err := v.service.Board(r.Context())
	if err != nil {
		return err
	}
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "board", newBoard(s.lang(r, v), b, v.actor.Name, held(list, v.actor.Name)))
}

// held tells which workspace has which GPU.
func held(list []masu.Workspace, me masu.Username) map[masu.GPUID]string {
	mine := map[masu.GPUID]string{}
	for _, w := range list {
		if w.Owner != me {
			continue
		}
		for _, g := range w.GPUs {
			mine[g] = w.Name
		}
	}
	return mine
}
