package web

import (
	"net/http"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// runsView lists the member's runs that go on by themselves.
type runsView struct {
	base
	Runs []runView
}

// runView is one of them.
type runView struct {
	ID      masu.WorkspaceID
	Name    string
	Index   int
	Array   bool
	Words   string
	Phase   masu.RunPhase
	Code    int
	Trouble string
	Ends    string // when its GPUs will be taken back
	EndWhy  string
	At      time.Time
	Took    string
	Used    string // of the processors and the memory, and of the GPUs
	Facts   []text.Fact
	Owner   masu.Username
	Asked   []masu.Username // who would like to have its GPUs
	Over    bool
	Bad     bool

	Notebook bool
}

func (*runsView) template() string            { return "runs" }
func (*runsView) title(lang masu.Lang) string { return text.Say(lang, "web.runs") }

func newRun(lang masu.Lang, r masu.Run) runView {
	v := runView{ID: r.ID, Owner: r.Owner, Name: r.Name, Index: r.Index, Array: r.Series != "", Words: r.Words(), Phase: r.Phase, Code: r.Code, At: r.At, Over: r.Over(), Notebook: r.Notebook != nil, Bad: r.Over() && !r.Well() && r.Phase != masu.RunCancelled}
	if r.Trouble != nil {
		v.Trouble, _ = text.Error(lang, r.Trouble.Err())
	}
	if !r.EndsAt.IsZero() {
		v.Ends, v.EndWhy = r.EndsAt.Local().Format("15:04"), text.Strings(lang, "ending_run_"+string(r.EndWhy), []string{string(r.ID)})
	}
	if r.Used != (masu.Use{}) {
		v.Used = text.Say(lang, "web.run_used", since(lang, r.Used.CPU), r.Used.Memory)
	}
	if g := r.GPUUsed; g.Read > 0 {
		v.Used = text.Say(lang, "web.run_gpu_used", g.Percent(), g.Memory, masu.EnergyText(g.Energy))
	}
	v.Facts = text.RunFacts(lang, r, func(d time.Duration) string { return since(lang, d) })
	if !v.Over {
		v.Asked = r.Asked
	}
	if !r.StartedAt.IsZero() {
		end := r.EndedAt
		if end.IsZero() {
			end = time.Now()
		}
		v.Took = since(lang, end.Sub(r.StartedAt))
	}
	return v
}

func (s *Server) newRuns(r *http.Request, v *visit) (*runsView, error) {
	list, err := v.service.Runs(r.Context(), false)
	view := &runsView{}
	for _, run := range list {
		view.Runs = append(view.Runs, newRun(s.lang(r, v), run))
	}
	return view, err
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, err := s.newRuns(r, v)
	if err != nil {
		return err
	}
	return s.show(w, r, v, http.StatusOK, view)
}

// runList is the part that moves.
func (s *Server) runList(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, err := s.newRuns(r, v)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "runlist", view)
}

// runLog gives what a run has printed so far, as plain text: also to a phone.
func (s *Server) runLog(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := masu.WorkspaceID(r.PathValue("id"))
	if _, err := v.service.RunByID(r.Context(), id); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return v.service.RunLog(r.Context(), id, w, false)
}

func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := v.service.CancelRun(r.Context(), masu.WorkspaceID(r.PathValue("id"))); err != nil {
		return err
	}
	http.Redirect(w, r, "/runs", http.StatusSeeOther)
	return nil
}

func (s *Server) forgetRun(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.service.ForgetRun(r.Context(), masu.WorkspaceID(r.PathValue("id"))); err != nil {
		return err
	}
	http.Redirect(w, r, "/runs", http.StatusSeeOther)
	return nil
}
