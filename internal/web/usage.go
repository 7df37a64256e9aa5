package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// usageView is the account of one month, on paper too.
type usageView struct {
	base
	Month         string
	Before, After string
	All           bool // everybody's
	Teacher       bool
	Members       []usageLine
	Groups        []usageLine
	Names         []usageLine
	Sum           usageLine
}

// usageLine is a line of the account; Share is percent of the largest.
type usageLine struct {
	Name                       string
	Lent, Busy, Energy, Waited string
	Times                      int
	Share, BusyShare           int
}

func newUsageLines(rows []masu.UsageRow, by string) []usageLine {
	list := masu.SumUsage(rows, by)
	var most time.Duration
	for _, r := range list {
		most = max(most, r.Lent)
	}
	lines := make([]usageLine, 0, len(list))
	for _, r := range list {
		lines = append(lines, newUsageLine(r, most))
	}
	return lines
}

func newUsageLine(r masu.UsageRow, most time.Duration) usageLine {
	l := usageLine{Name: r.Name, Lent: fmt.Sprintf("%.1f h", r.Lent.Hours()), Busy: fmt.Sprintf("%.1f h", r.Busy.Hours()), Energy: fmt.Sprintf("%.1f kWh", r.Energy/3.6e6), Times: r.Leases}
	if r.Leases > 0 {
		l.Waited = (r.Waited / time.Duration(r.Leases)).Round(time.Minute).String()
	}
	if most > 0 {
		l.Share = int(100 * r.Lent / most)
		l.BusyShare = int(100 * min(r.Busy, r.Lent) / most)
	}
	return l
}

func (*usageView) template() string { return "usage" }

func (v *usageView) title(lang masu.Lang) string {
	return text.Say(lang, "web.usage") + " " + v.Month
}

// account reads which month, and whose, is asked for.
func (s *Server) account(r *http.Request, v *visit) (view *usageView, rows []masu.UsageRow, err error) {
	month, err := time.ParseInLocation("2006-01", r.URL.Query().Get("month"), time.Local)
	if y, m, _ := time.Now().Date(); err != nil || month.Year() < 2000 || month.Year() > 9000 {
		month = time.Date(y, m, 1, 0, 0, 0, 0, time.Local)
	}
	teacher := v.actor.Admin || v.actor.Role == masu.RoleTeacher
	view = &usageView{Month: month.Format("2006-01"), Before: month.AddDate(0, -1, 0).Format("2006-01"), After: month.AddDate(0, 1, 0).Format("2006-01"),
		Teacher: teacher, All: teacher && r.URL.Query().Get("of") != "me"}
	rows, err = v.service.GPUUsage(r.Context(), month, month.AddDate(0, 1, 0), view.All)
	return view, rows, err
}

func (s *Server) usage(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, rows, err := s.account(r, v)
	if err != nil {
		return err
	}
	if view.All {
		view.Members, view.Groups = newUsageLines(rows, "member"), newUsageLines(rows, "group")
	}
	view.Names = newUsageLines(rows, "name")
	sum := masu.UsageRow{}
	for _, r := range rows {
		sum.Leases, sum.Lent, sum.Busy, sum.Energy, sum.Waited = sum.Leases+r.Leases, sum.Lent+r.Lent, sum.Busy+r.Busy, sum.Energy+r.Energy, sum.Waited+r.Waited
	}
	view.Sum = newUsageLine(sum, sum.Lent)
	return s.show(w, r, v, http.StatusOK, view)
}

// usageCSV is the same for a spreadsheet.
func (s *Server) usageCSV(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, rows, err := s.account(r, v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="masu-usage-`+view.Month+`.csv"`)
	c := csv.NewWriter(w)
	_ = c.Write(masu.UsageHeading()) // it may have gone already
	for _, r := range rows {
		_ = c.Write(r.Record())
	}
	c.Flush()
	return nil
}
