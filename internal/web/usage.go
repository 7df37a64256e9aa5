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
	begin         time.Time
	Month         string
	Before, After string
	All           bool // everybody's
	Teacher       bool
	Members       []usageLine
	Groups        []usageLine
	Names         []usageLine
	Sum           usageLine
	Chart         usageChart
	At            time.Time // when it was looked at, for the paper
}

// usageChart is the month by day; heights are percent of Most.
type usageChart struct {
	Most string
	Says string
	Bars []dayBar
}

// dayBar is a day in the chart, X and Wide in percent of its width.
type dayBar struct {
	Day        int
	X, Wide    float64
	Mid        float64 // where its number stands
	Lent, Busy float64
	Top, Base  float64 // where the bars begin, from above
	Named      bool
	Says       string
}

// newChart draws every day of a month, also those on which nothing was lent.
func newChart(lang masu.Lang, month time.Time, days []masu.DayUse) usageChart {
	var most, lent, busy time.Duration
	for _, d := range days {
		most, lent, busy = max(most, d.Lent), lent+d.Lent, busy+d.Busy
	}
	c := usageChart{Most: hours(most), Says: text.Say(lang, "web.usage_days_says", month.Format("2006-01"), hours(lent), hours(busy))}
	if most == 0 {
		return c
	}
	n := month.AddDate(0, 1, -1).Day()
	for day := 1; day <= n; day++ {
		b := dayBar{Day: day, X: float64(day-1)*100/float64(n) + 0.3, Wide: 100/float64(n) - 0.6, Mid: (float64(day) - 0.5) * 100 / float64(n), Named: day == 1 || day%5 == 0, Top: 100, Base: 100}
		for _, d := range days {
			if d.Day == day {
				b.Lent, b.Busy = 100*float64(d.Lent)/float64(most), 100*float64(min(d.Busy, d.Lent))/float64(most)
				b.Top, b.Base = 100-b.Lent, 100-b.Busy
				b.Says = fmt.Sprintf("%d: %s / %s", day, hours(d.Lent), hours(d.Busy))
			}
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

func hours(d time.Duration) string { return fmt.Sprintf("%.1f h", d.Hours()) }

// usageLine is a line of the account; Share is percent of the largest.
type usageLine struct {
	Name                       string
	Lent, Busy, Energy, Waited string
	Times                      int
	Share, BusyShare           int
}

func newUsageLines(lang masu.Lang, rows []masu.UsageRow, by string) []usageLine {
	list := masu.SumUsage(rows, by)
	var most time.Duration
	for _, r := range list {
		most = max(most, r.Lent)
	}
	lines := make([]usageLine, 0, len(list))
	for _, r := range list {
		lines = append(lines, newUsageLine(lang, r, most))
	}
	return lines
}

func newUsageLine(lang masu.Lang, r masu.UsageRow, most time.Duration) usageLine {
	l := usageLine{Name: r.Name, Lent: hours(r.Lent), Busy: hours(r.Busy), Energy: fmt.Sprintf("%.1f kWh", r.Energy/3.6e6), Times: r.Leases}
	if r.Leases > 0 {
		l.Waited = since(lang, r.Waited/time.Duration(r.Leases))
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
	view = &usageView{begin: month, Month: month.Format("2006-01"), Before: month.AddDate(0, -1, 0).Format("2006-01"), After: month.AddDate(0, 1, 0).Format("2006-01"),
		Teacher: teacher, All: teacher && r.URL.Query().Get("of") != "me"}
	rows, err = v.service.GPUUsage(r.Context(), month, month.AddDate(0, 1, 0), view.All)
	return view, rows, err
}

func (s *Server) usage(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, rows, err := s.account(r, v)
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	if view.All {
		view.Members, view.Groups = newUsageLines(lang, rows, "member"), newUsageLines(lang, rows, "group")
	}
	view.Names = newUsageLines(lang, rows, "name")
	for _, sum := range masu.SumUsage(rows, "all") {
		view.Sum = newUsageLine(lang, sum, sum.Lent)
		view.Chart = newChart(lang, view.begin, sum.Days)
	}
	view.At = time.Now()
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
