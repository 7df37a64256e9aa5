package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// weekView is the timetable: a lane for each GPU on each day, and the same reservations as a list.
type weekView struct {
	Monday string // its date
	GPUs   []int  // indexes, from above
	Days   []weekDay
	List   []weekEntry
}

// weekDay is a day of the timetable.
type weekDay struct {
	Name  string
	Date  string // for links and the form
	Today bool
	Gone  bool    // it is over, in a week that is not
	Now   float64 // where the day stands, in percent of it
	Lanes []weekLane
}

// weekLane is a day of one GPU, from midnight to midnight.
type weekLane struct {
	Index int
	Says  string // for who does not see it
	Slots []slotView
}

// slotView is a reservation, or a lease, on one day of one GPU.
type slotView struct {
	At, Wide float64 // percent of the day
	Span     string
	Member   masu.Username
	Mine     bool
	Note     string
	Missed   bool
	Lent     bool
}

// Says is the slot in words.
func (s slotView) Says() string {
	says := s.Span + " " + string(s.Member)
	if s.Note != "" {
		says += " · " + s.Note
	}
	return says
}

// Room tells whether its name fits in where a day has the whole width, Tight
// whether it does not where a week has, and Ample whether its time fits in too.
func (s slotView) Room() bool  { return s.Wide >= 12 }
func (s slotView) Tight() bool { return s.Wide < 34 }
func (s slotView) Ample() bool { return s.Wide >= 42 }

// weekEntry is a reservation in the list.
type weekEntry struct {
	ID     masu.ReservationID
	When   string
	GPUs   string
	Member masu.Username
	Mine   bool
	Note   string
	Series bool
	Missed bool
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

// dayName is a day as people write it.
func dayName(lang masu.Lang, day time.Time) string {
	return text.Say(lang, fmt.Sprintf("web.weekday.%d", day.Weekday())) + " " + day.Format("1/2")
}

// newWeek draws who has which GPU when, as far as that is known; who teaches may give up others' reservations.
func newWeek(lang masu.Lang, monday time.Time, b masu.Board, reserved []masu.Reservation, me masu.Username, teaches bool, now time.Time) weekView {
	v := weekView{Monday: monday.Format(time.DateOnly)}
	for _, g := range b.GPUs {
		v.GPUs = append(v.GPUs, g.Index)
	}
	for i := range 7 {
		from, until := monday.AddDate(0, 0, i), monday.AddDate(0, 0, i+1)
		day := weekDay{Name: dayName(lang, from), Date: from.Format(time.DateOnly), Now: partOfDay(now, from, until)}
		day.Today = day.Date == now.Format(time.DateOnly)
		day.Gone = !until.After(now) && monday.AddDate(0, 0, 7).After(now)
		for _, g := range b.GPUs {
			lane := weekLane{Index: g.Index, Slots: newSlots(g, from, until, reserved, me, now)}
			lane.Says = fmt.Sprintf("GPU %d, %s: ", g.Index, day.Name)
			var says []string
			for _, s := range lane.Slots {
				says = append(says, s.Says())
			}
			if len(says) == 0 {
				says = []string{text.Say(lang, "web.week_free")}
			}
			lane.Says += strings.Join(says, "; ")
			day.Lanes = append(day.Lanes, lane)
		}
		v.Days = append(v.Days, day)
	}
	for _, r := range reserved {
		if r.From.Before(monday.AddDate(0, 0, 7)) && r.Until.After(monday) {
			v.List = append(v.List, newEntry(lang, b, r, me, teaches, now))
		}
	}
	return v
}

// newSlots are what touches a day of a GPU. A lease lasts at least until now: its time may be over while nobody waits.
func newSlots(g masu.BoardGPU, from, until time.Time, reserved []masu.Reservation, me masu.Username, now time.Time) (slots []slotView) {
	add := func(s slotView, begin, end time.Time) {
		if !begin.Before(until) || !end.After(from) {
			return
		}
		s.At, s.Span = partOfDay(begin, from, until), span(begin, end, from, until)
		s.Wide = partOfDay(end, from, until) - s.At
		slots = append(slots, s)
	}
	for _, h := range g.Holds {
		end := h.Until
		if end.Before(now) {
			end = now
		}
		add(slotView{Member: h.Member, Mine: h.Member == me, Lent: true}, h.Since, end)
	}
	for _, r := range reserved {
		if slices.Contains(r.GPUs, g.ID) {
			add(slotView{Member: r.Holder, Mine: r.Holder == me, Note: r.Note, Missed: r.Missed}, r.From, r.Until)
		}
	}
	return slots
}

func newEntry(lang masu.Lang, b masu.Board, r masu.Reservation, me masu.Username, teaches bool, now time.Time) weekEntry {
	var gpus []string
	for _, g := range b.GPUs {
		if slices.Contains(r.GPUs, g.ID) {
			gpus = append(gpus, fmt.Sprint(g.Index))
		}
	}
	from, until := r.From.Local(), r.Until.Local()
	when := dayName(lang, from) + " " + from.Format("15:04") + "–"
	if until.Format(time.DateOnly) != from.Format(time.DateOnly) {
		when += dayName(lang, until) + " "
	}
	return weekEntry{ID: r.ID, When: when + until.Format("15:04"), GPUs: "GPU " + strings.Join(gpus, ", "), Member: r.Holder, Mine: r.Holder == me,
		Note: r.Note, Series: r.Series != "", Missed: r.Missed, Drop: (r.Holder == me || teaches) && r.Until.After(now)}
}

// partOfDay is how much of a day is over at a time, in percent: by the clock on
// the wall, also on a day that is an hour shorter or longer.
func partOfDay(at, day, next time.Time) float64 {
	switch at = at.Local(); {
	case !at.After(day):
		return 0
	case !at.Before(next):
		return 100
	}
	return float64(at.Hour()*60+at.Minute()) / (24 * 60) * 100
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
