package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// calendarFor is how far ahead the calendar goes.
const calendarFor = 366 * 24 * time.Hour

// calendar gives what is reserved for programs that show calendars.
func (s *Server) calendar(w http.ResponseWriter, r *http.Request, v *visit) error {
	now := time.Now()
	list, err := v.service.Reservations(r.Context(), now, now.Add(calendarFor))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="masu.ics"`)
	_, _ = w.Write([]byte(iCalendar(s.lang(r, v), s.cfg.HostName, list, now))) // it may have gone already
	return nil
}

// iCalendar writes reservations as RFC 5545 says.
func iCalendar(lang masu.Lang, host string, list []masu.Reservation, now time.Time) string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(folded(name + ":" + value)) }
	line("BEGIN", "VCALENDAR")
	line("VERSION", "2.0")
	line("PRODID", "-//masu//masu//EN")
	const stamp = "20060102T150405Z"
	for _, r := range list {
		if r.Missed {
			continue
		}
		line("BEGIN", "VEVENT")
		line("UID", string(r.ID)+"@"+icsText(host))
		line("DTSTAMP", now.UTC().Format(stamp))
		line("DTSTART", r.From.UTC().Format(stamp))
		line("DTEND", r.Until.UTC().Format(stamp))
		line("SUMMARY", icsText(fmt.Sprintf("%s · %s", text.Say(lang, "web.gpus", len(r.GPUs)), r.Holder)))
		if r.Note != "" {
			line("DESCRIPTION", icsText(r.Note))
		}
		line("LOCATION", icsText(host))
		line("END", "VEVENT")
	}
	line("END", "VCALENDAR")
	return b.String()
}

// icsText escapes what has a meaning in a text value, and drops what may not stand there.
func icsText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(s)
}

// folded breaks a line after 75 bytes, and never inside a character.
func folded(s string) string {
	var b strings.Builder
	for room := 75; len(s) > room; room = 74 { // the next ones begin with a space
		cut := room
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		b.WriteString(s[:cut] + "\r\n ")
		s = s[cut:]
	}
	return b.String() + s + "\r\n"
}
