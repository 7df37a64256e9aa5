package web

import (
	"fmt"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// weekDay is a column of the timetable.
type weekDay struct {
	Name  string
	Date  string // for links and the form
	Today bool
}

// weekRow is a GPU's line of the timetable.
type weekRow struct {
	Index int
	Cells [][]slotView // by day
}

// slotView is a reservation, or a lease, on one day.
type slotView struct {
	ID     masu.ReservationID // "" for a lease
	Span   string
	Member masu.Username
	Mine   bool
	Note   string
	Series bool
	Missed bool
	Lent   bool
	Drop   bool // the reader may give it up
}

// weekOf is the Monday of the week that holds a day; of this one where that is no day.
func weekOf(day string, now time.Time) time.Time {
	at, err := time.ParseInLocation(time.DateOnly, day, time.Local)
	if err != nil || at.Year() < 2000 || at.Year() > 9000 {
		at = now
	}
	y, m, d := at.Date()
	return time.Date(y, m, d-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.Local)
}

// newWeek draws who has which GPU when, as far as that is known; who teaches may give up others' reservations.
func newWeek(lang masu.Lang, monday time.Time, b masu.Board, reserved []masu.Reservation, me masu.Username, teaches bool) (days []weekDay, rows []weekRow) {
	today := time.Now().Format(time.DateOnly)
	for i := range 7 {
		day := monday.AddDate(0, 0, i)
		name := text.Say(lang, fmt.Sprintf("web.weekday.%d", day.Weekday())) + " " + day.Format("1/2")
		days = append(days, weekDay{name, day.Format(time.DateOnly), day.Format(time.DateOnly) == today})
	}
	for _, g := range b.GPUs {
		row := weekRow{Index: g.Index, Cells: make([][]slotView, 7)}
		for i := range row.Cells {
			from := monday.AddDate(0, 0, i)
			until := monday.AddDate(0, 0, i+1)
			for _, h := range g.Holds {
				if end := h.Until; h.Since.Before(until) && end.After(from) {
					row.Cells[i] = append(row.Cells[i], slotView{Span: span(h.Since, end, from, until), Member: h.Member, Mine: h.Member == me, Lent: true})
				}
			}
			for _, r := range reserved {
				if slices.Contains(r.GPUs, g.ID) && r.From.Before(until) && r.Until.After(from) {
					row.Cells[i] = append(row.Cells[i], slotView{ID: r.ID, Span: span(r.From, r.Until, from, until), Member: r.Holder, Mine: r.Holder == me,
						Note: r.Note, Series: r.Series != "", Missed: r.Missed, Drop: (r.Holder == me || teaches) && r.Until.After(time.Now())})
				}
			}
		}
		rows = append(rows, row)
	}
	return days, rows
}

// span is the part of a time that is on one day.
func span(from, until, day, next time.Time) string {
	begin, end := "0:00", "24:00"
	if from.After(day) {
		begin = from.Local().Format("15:04")
	}
	if until.Before(next) {
		end = until.Local().Format("15:04")
	}
	return begin + "–" + end
}
