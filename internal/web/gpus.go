package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// gpuView is a GPU of the board.
type gpuView struct {
	Index   int
	Model   string
	Memory  string // "" where nobody knows it
	Mine    string // my workspace that has it
	Holds   []holdView
	Outside []string
	Fault   string // why it is not lent
	Fill    int    // percent of the memory in use; of a lent one that nobody can read, 100
	Reading string
	Next    string // who has reserved it next
}

// Free tells whether nobody has it.
func (g gpuView) Free() bool {
	return len(g.Holds) == 0 && len(g.Outside) == 0 && g.Mine == "" && g.Fault == ""
}

// holdView is somebody who has a GPU.
type holdView struct {
	Lease  masu.LeaseID
	Member masu.Username
	Mine   bool
	What   string // the workspace or run, for admins, and its notebooks, for its owner too
	Share  string
	Since  time.Time
	Until  string
	Ending string // why, and when, it will be taken back
}

func newGPU(lang masu.Lang, g masu.BoardGPU, me masu.Username, mine string) gpuView {
	v := gpuView{Index: g.Index, Model: strings.TrimPrefix(g.Model, "NVIDIA "), Mine: mine}
	if g.Memory > 0 {
		v.Memory = g.Memory.String()
	}
	for _, h := range g.Holds {
		x := holdView{Lease: h.Lease, Member: h.Member, Mine: h.Member == me, Since: h.Since}
		if h.Share > 0 {
			x.Share = h.Share.String()
		}
		what := h.Notebooks
		if h.Workspace != "" && h.Workspace != mine {
			what = append([]string{h.Workspace}, what...)
		}
		x.What = strings.Join(what, " · ")
		if !h.Until.IsZero() {
			x.Until = text.Say(lang, "web.until", near(h.Until))
		}
		if !h.EndsAt.IsZero() {
			x.Ending = text.Say(lang, "web.ending."+string(h.Why), near(h.EndsAt))
		}
		v.Holds = append(v.Holds, x)
	}
	for _, o := range g.Outside {
		v.Outside = append(v.Outside, text.Say(lang, "gpus_outside", cmp.Or(o.Login, "?"), cmp.Or(o.Command, "?")))
	}
	if g.Fault != "" {
		v.Fault = text.Fault(lang, g.Fault)
	}
	if r := g.Reading; r != nil && r.Memory >= 0 && g.Memory > 0 {
		v.Fill = int(min(100*r.Memory/g.Memory, 100))
	} else if !v.Free() {
		v.Fill = 100
	}
	v.Reading = reading(lang, g.Reading)
	return v
}

// reading is how a card does, in one line.
func reading(lang masu.Lang, r *masu.Reading) string {
	if r == nil {
		return ""
	}
	var parts []string
	busy := text.Say(lang, "web.gpu_busy_unknown")
	if r.Busy >= 0 {
		busy = text.Say(lang, "web.gpu_busy", fmt.Sprintf("%.0f%%", 100*r.Busy))
	}
	parts = append(parts, busy)
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
		parts = append(parts, text.Say(lang, "gpu_errors", r.Faults))
	}
	return strings.Join(parts, " · ")
}

// near is a time, with its day where that is not today.
func near(at time.Time) string { return text.Near(at, time.Now()) }

// gpusView is the page about GPUs.
type gpusView struct {
	base
	Board         gpuBoardView
	Problem       *problem
	Filled        reserveForm
	Feed          feedView
	Week          weekView
	Before, After string // Mondays
	Today         string
	Asked         masu.LeaseID
	Teacher       bool
	Models        []string
}

// Which is the fold of the form that says what kind of card.
func (v *gpusView) Which() (w struct {
	Wish   gpuWish
	Models []string
}) {
	w.Wish, w.Models = v.Filled.Wish, v.Models
	return w
}

// gpuBoardView is the part of it that moves.
type gpuBoardView struct {
	GPUs    []gpuView
	Unknown string
	Waiting []ticketView
}

// ticketView is somebody in the queue.
type ticketView struct {
	Place  int
	Member masu.Username
	Mine   bool
	Want   string
	Since  time.Time
	Expect string
}

// reserveForm is what was filled in.
type reserveForm struct {
	Count, Day, From, Until, Weeks, Note, For string
	Wish                                      gpuWish
}

func emptyReserve() reserveForm { return reserveForm{Count: "1", Weeks: "1"} }

func newGPUBoard(lang masu.Lang, b masu.Board, me masu.Username, mine map[masu.GPUID]string) gpuBoardView {
	var v gpuBoardView
	if b.Unknown != nil {
		v.Unknown, _ = text.Error(lang, b.Unknown.Err())
	}
	for _, g := range b.GPUs {
		x := newGPU(lang, g, me, mine[g.ID])
		for _, r := range b.Reserved {
			for _, id := range r.GPUs {
				if id == g.ID && x.Next == "" && r.From.After(b.At) {
					x.Next = text.Say(lang, "web.gpu_next", near(r.From), string(r.Holder))
				}
			}
		}
		v.GPUs = append(v.GPUs, x)
	}
	for _, w := range b.Waiting {
		x := ticketView{Place: w.Place, Member: w.Holder, Mine: w.Holder == me, Want: wish(lang, w.Want), Since: w.At}
		switch {
		case w.Blocked != masu.WaitGPUs:
			x.Expect = text.Say(lang, "web.blocked."+string(w.Blocked))
		case w.Expect.IsZero():
			x.Expect = text.Say(lang, "web.expect_unknown")
		default:
			x.Expect = text.Say(lang, "web.expect", near(w.Expect))
		}
		v.Waiting = append(v.Waiting, x)
	}
	return v
}

// wish is a want in words.
func wish(lang masu.Lang, w masu.Want) string {
	parts := []string{text.Say(lang, "web.gpus", w.Count)}
	switch {
	case w.All:
		parts[0] = text.Say(lang, "web.gpus_all")
	case w.Share > 0:
		parts[0] = text.Say(lang, "web.gpus_share", w.Share.String())
	}
	if w.Memory > 0 {
		parts = append(parts, text.Say(lang, "web.gpus_memory", w.Memory.String()))
	}
	if w.Model != "" {
		parts = append(parts, w.Model)
	}
	return strings.Join(parts, " · ")
}

func (s *Server) gpus(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showGPUs(w, r, v, http.StatusOK, gpusView{Filled: emptyReserve()})
}

// showGPUs shows the page, with what was filled in and what came of it.
func (s *Server) showGPUs(w http.ResponseWriter, r *http.Request, v *visit, code int, view gpusView) error {
	lang := s.lang(r, v)
	b, err := v.service.Board(r.Context())
	if err != nil {
		return err
	}
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	for _, g := range b.GPUs {
		view.Models = append(view.Models, models([]masu.GPU{g.GPU})...)
	}
	slices.Sort(view.Models)
	view.Models = slices.Compact(view.Models)
	monday := weekOf(r.URL.Query().Get("week"), time.Now())
	reserved, err := v.service.Reservations(r.Context(), monday, monday.AddDate(0, 0, 7))
	if err != nil {
		return err
	}
	if view.Feed.ID == "" {
		if view.Feed, err = s.newFeed(r, v); err != nil {
			return err
		}
	}
	view.Board, view.Teacher = newGPUBoard(lang, b, v.actor.Name, held(list, v.actor.Name)), v.actor.Admin || v.actor.Role == masu.RoleTeacher
	view.Before, view.After, view.Today = monday.AddDate(0, 0, -7).Format(time.DateOnly), monday.AddDate(0, 0, 7).Format(time.DateOnly), time.Now().Format(time.DateOnly)
	view.Filled.Day = cmp.Or(view.Filled.Day, view.Today)
	view.Week = newWeek(lang, monday, b, reserved, v.actor.Name, view.Teacher, time.Now())
	return s.show(w, r, v, code, &view)
}

// gpuBoard gives the part of the page that moves.
func (s *Server) gpuBoard(w http.ResponseWriter, r *http.Request, v *visit) error {
	b, err := v.service.Board(r.Context())
	if err != nil {
		return err
	}
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "gpuboard", newGPUBoard(s.lang(r, v), b, v.actor.Name, held(list, v.actor.Name)))
}

// reserve takes the form.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := reserveForm{r.PostFormValue("count"), r.PostFormValue("day"), r.PostFormValue("from"), r.PostFormValue("until"), r.PostFormValue("weeks"), r.PostFormValue("note"), r.PostFormValue("for"), readGPUWish(r.PostForm)}
	q, err := f.wish()
	if err == nil {
		_, err = v.service.Reserve(r.Context(), q)
	}
	if err != nil {
		return s.showGPUs(w, r, v, status(err), gpusView{Filled: f, Problem: newProblem(s.lang(r, v), err)})
	}
	http.Redirect(w, r, "/gpus?week="+url.QueryEscape(f.Day)+"#week", http.StatusSeeOther)
	return nil
}

// wish reads the form. An end that is before the beginning is on the next day.
func (f reserveForm) wish() (q masu.ReserveWish, err error) {
	count, _ := strconv.Atoi(f.Count)
	if q.Want, err = f.Wish.want(count); err != nil {
		return q, err
	}
	q.Weeks, _ = strconv.Atoi(f.Weeks)
	q.Note, q.For = f.Note, masu.Username(strings.TrimSpace(f.For))
	if q.From, err = time.ParseInLocation("2006-01-02 15:04", f.Day+" "+f.From, time.Local); err != nil {
		return q, masu.E(masu.Invalid, "reserve_form").Because(err)
	}
	if q.Until, err = time.ParseInLocation("2006-01-02 15:04", f.Day+" "+f.Until, time.Local); err != nil {
		return q, masu.E(masu.Invalid, "reserve_form").Because(err)
	}
	if !q.Until.After(q.From) {
		q.Until = q.Until.AddDate(0, 0, 1)
	}
	return q, nil
}

func (s *Server) unreserve(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.service.Unreserve(r.Context(), masu.ReservationID(r.PostFormValue("id")), r.PostFormValue("series") == "yes"); err != nil {
		return err
	}
	http.Redirect(w, r, "/gpus?week="+url.QueryEscape(r.PostFormValue("week"))+"#week", http.StatusSeeOther)
	return nil
}

// askFor asks a holder to give GPUs back.
func (s *Server) askFor(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.service.AskFor(r.Context(), masu.LeaseID(r.PostFormValue("lease"))); err != nil {
		return err
	}
	http.Redirect(w, r, "/gpus?asked="+url.QueryEscape(r.PostFormValue("lease")), http.StatusSeeOther)
	return nil
}

// extend moves the end of a workspace's GPUs.
func (s *Server) extend(w http.ResponseWriter, r *http.Request, v *visit) error {
	hours, err := strconv.Atoi(r.PostFormValue("hours"))
	if err != nil || hours < 1 || hours > 24*366 {
		return masu.E(masu.Invalid, "extend_odd", r.PostFormValue("hours"))
	}
	if _, err := v.service.Extend(r.Context(), r.PathValue("name"), time.Duration(hours)*time.Hour); err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+r.PathValue("name"), http.StatusSeeOther)
	return nil
}

// extendRun moves the end of what is lent to a run by as much as its button says.
func (s *Server) extendRun(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := v.service.Extend(r.Context(), r.PathValue("id"), 2*time.Hour); err != nil {
		return err
	}
	http.Redirect(w, r, "/runs/"+r.PathValue("id"), http.StatusSeeOther)
	return nil
}

// release gives a workspace's GPUs back.
func (s *Server) release(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := v.service.Release(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+r.PathValue("name"), http.StatusSeeOther)
	return nil
}
