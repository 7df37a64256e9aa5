package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
	Projects      []usageLine
	Names         []usageLine
	Sum           usageLine
	Chart         usageChart
	Trend         usageChart
	At            time.Time // when it was looked at, for the paper
}

// usageChart is lent and busy time by day, or by month; heights are percent of Most.
type usageChart struct {
	Title string
	Most  string
	Says  string
	Bars  []usageBar
}

// usageBar is a day or a month in the chart, X and Wide in percent of its width.
type usageBar struct {
	Label      string
	X, Wide    float64
	Mid        float64 // where its label stands
	Lent, Busy float64
	Top, Base  float64 // where the bars begin, from above
	Named      bool
	Says       string
}

// newChart draws every day of a month, also those on which nothing was lent.
func newChart(lang masu.Lang, month time.Time, days []masu.DayUse) usageChart {
	all := make([]masu.UsageRow, month.AddDate(0, 1, -1).Day())
	for i := range all {
		all[i].Name = strconv.Itoa(i + 1)
	}
	for _, d := range days {
		all[d.Day-1].Lent, all[d.Day-1].Busy = d.Lent, d.Busy
	}
	c := newBars(all)
	for i := range c.Bars {
		c.Bars[i].Named = i == 0 || (i+1)%5 == 0
	}
	sum := masu.SumUsage(all, "all")[0]
	c.Title, c.Says = text.Say(lang, "web.usage_days"), text.Say(lang, "web.usage_days_says", month.Format("2006-01"), hours(sum.Lent), hours(sum.Busy))
	return c
}

// trendMonths are shown beside the one that the account is of, and with it.
const trendMonths = 12

// newTrend draws the months up to one, also those in which nothing was lent.
func newTrend(lang masu.Lang, month time.Time, rows []masu.UsageRow) usageChart {
	all := make([]masu.UsageRow, trendMonths)
	for i := range all {
		all[i].Name = month.AddDate(0, i+1-trendMonths, 0).Format("2006-01")
		for _, sum := range masu.SumUsage(rows, "month") {
			if sum.Name == all[i].Name {
				all[i].Lent, all[i].Busy = sum.Lent, sum.Busy
			}
		}
	}
	c := newBars(all)
	for i := range c.Bars {
		c.Bars[i].Named, c.Bars[i].Label = true, strconv.Itoa(int(month.AddDate(0, i+1-trendMonths, 0).Month()))
	}
	sum := masu.SumUsage(all, "all")[0]
	c.Title, c.Says = text.Say(lang, "web.usage_trend"), text.Say(lang, "web.usage_trend_says", all[0].Name, all[trendMonths-1].Name, hours(sum.Lent), hours(sum.Busy))
	return c
}

// newBars draws rows one beside the other; no bars where nothing was lent at all.
func newBars(rows []masu.UsageRow) (c usageChart) {
	var most time.Duration
	for _, r := range rows {
		most = max(most, r.Lent)
	}
	if c.Most = hours(most); most == 0 {
		return c
	}
	wide := 100 / float64(len(rows))
	for i, r := range rows {
		b := usageBar{Label: r.Name, X: float64(i)*wide + 0.3, Wide: wide - 0.6, Mid: (float64(i) + 0.5) * wide}
		b.Lent, b.Busy = 100*float64(r.Lent)/float64(most), 100*float64(min(r.Busy, r.Lent))/float64(most)
		b.Top, b.Base = 100-b.Lent, 100-b.Busy
		b.Says = fmt.Sprintf("%s: %s / %s", r.Name, hours(r.Lent), hours(r.Busy))
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

// account reads which month, and whose, is asked for, with so many months before it.
func (s *Server) account(r *http.Request, v *visit, before int) (view *usageView, rows []masu.UsageRow, err error) {
	month, err := time.ParseInLocation("2006-01", r.URL.Query().Get("month"), time.Local)
	if y, m, _ := time.Now().Date(); err != nil || month.Year() < 2000 || month.Year() > 9000 {
		month = time.Date(y, m, 1, 0, 0, 0, 0, time.Local)
	}
	teacher := v.actor.Admin || v.actor.Role == masu.RoleTeacher
	view = &usageView{begin: month, Month: month.Format("2006-01"), Before: month.AddDate(0, -1, 0).Format("2006-01"), After: month.AddDate(0, 1, 0).Format("2006-01"),
		Teacher: teacher, All: teacher && r.URL.Query().Get("of") != "me"}
	rows, err = v.service.GPUUsage(r.Context(), month.AddDate(0, -before, 0), month.AddDate(0, 1, 0), view.All)
	return view, rows, err
}

func (s *Server) usage(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, rows, err := s.account(r, v, trendMonths-1)
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	view.Trend = newTrend(lang, view.begin, rows)
	rows = slices.DeleteFunc(slices.Clone(rows), func(r masu.UsageRow) bool { return r.Month != view.Month })
	if view.All {
		view.Members, view.Groups = newUsageLines(lang, rows, "member"), newUsageLines(lang, rows, "group")
	}
	view.Projects, view.Names = newUsageLines(lang, rows, "project"), newUsageLines(lang, rows, "name")
	for _, sum := range masu.SumUsage(rows, "all") {
		view.Sum = newUsageLine(lang, sum, sum.Lent)
		view.Chart = newChart(lang, view.begin, sum.Days)
	}
	view.At = time.Now()
	return s.show(w, r, v, http.StatusOK, view)
}

// usageCSV is the same for a spreadsheet.
func (s *Server) usageCSV(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, rows, err := s.account(r, v, 0)
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
