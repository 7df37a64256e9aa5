package web

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// gpuWish is which GPUs somebody asks for, as a form has it: how many, and, for
// those who unfold it, which.
type gpuWish struct {
	Model  string // a part of its name; "" is any
	Memory string // GiB that each has at least; "" is any
	Share  string // GiB of one card that others use as well; "" is the whole card
	All    bool   // every GPU there is
}

// Said tells whether there is more to it than a number.
func (g gpuWish) Said() bool { return g != gpuWish{} }

func readGPUWish(v url.Values) gpuWish {
	said := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	return gpuWish{Model: said("model"), Memory: said("gpu_memory"), Share: said("share"), All: v.Get("all") != ""}
}

// want reads the form, with the number that stands beside it.
func (g gpuWish) want(count int) (w masu.Want, err error) {
	gib := func(s string) masu.Bytes {
		if s == "" {
			return 0
		}
		n, wrong := strconv.ParseFloat(s, 64)
		if wrong != nil || !(n > 0 && n <= 4096) || math.IsNaN(n) {
			err = masu.E(masu.Invalid, "gpus_form", s)
			return 0
		}
		return masu.Bytes(n * float64(masu.GiB))
	}
	w = masu.Want{Count: count, Model: g.Model, Memory: gib(g.Memory), Share: gib(g.Share), All: g.All}
	switch {
	case err != nil:
	case len(g.Model) > 60:
		err = masu.E(masu.Invalid, "gpus_form", g.Model[:60])
	case w.All && (w.Share > 0 || w.Memory > 0 || w.Model != ""), w.Share > 0 && (w.Memory > 0 || w.Model != ""):
		err = masu.E(masu.Invalid, "gpus_form_both")
	case w.All, w.Share > 0:
		w.Count = 0
	case w.Memory > 0 || w.Model != "":
		w.Count = max(1, w.Count)
	}
	return w, err
}

// models lists the kinds of card that the host has, as people call them.
func models(gpus []masu.GPU) (list []string) {
	for _, g := range gpus {
		if m := strings.TrimPrefix(g.Model, "NVIDIA "); m != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	slices.Sort(list)
	return list
}

// planGPU is a GPU as one must know it before pressing Start.
type planGPU struct {
	Index       int
	Model, Says string
	Free        bool
}

// gpusNow tells which GPUs are free, and who holds the others until when.
func (s *Server) gpusNow(r *http.Request, v *visit) (list []planGPU, free string) {
	lang := s.lang(r, v)
	b, err := v.service.Board(r.Context())
	if err != nil { // the plan is worth showing without
		s.log(r, err)
		return nil, ""
	}
	n := 0
	for _, g := range newGPUBoard(lang, b, v.actor.Name, nil).GPUs {
		p := planGPU{Index: g.Index, Model: g.Model, Free: g.Free()}
		var says []string
		for _, h := range g.Holds {
			one := string(h.Member)
			if h.Share != "" {
				one += " " + h.Share
			}
			if h.Until != "" {
				one += " · " + h.Until
			}
			says = append(says, one)
		}
		if says = append(says, g.Outside...); g.Fault != "" {
			says = append(says, g.Fault)
		}
		if p.Free {
			n++
			says = append(says, text.Say(lang, "web.gpu_free"))
			if g.Next != "" {
				says = append(says, g.Next)
			}
		}
		p.Says = strings.Join(says, ", ")
		list = append(list, p)
	}
	if len(list) > 0 {
		free = text.Say(lang, "web.wall_free", n, len(list))
	}
	return list, free
}
