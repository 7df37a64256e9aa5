package web

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// auditView is the audit log.
type auditView struct {
	base
	Query  masu.EventQuery
	Days   int
	Events []eventView
	Older  string // where it goes on; "" at the end
	Whole  string // what an examination said
	Broken *problem
}

type eventView struct {
	masu.Event
	When, Result string
}

const auditLines = 100

func (s *Server) audit(w http.ResponseWriter, r *http.Request, v *visit) error {
	lang, q := s.lang(r, v), r.URL.Query()
	view := &auditView{Query: eventQuery(q), Days: daysOf(q)}
	view.Query.Limit = auditLines + 1
	events, err := v.service.Events(r.Context(), view.Query)
	if err != nil {
		return err
	}
	if len(events) > auditLines {
		events = events[:auditLines]
		q.Set("before", strconv.FormatInt(events[auditLines-1].Seq, 10))
		view.Older = "/audit?" + q.Encode()
	}
	for _, e := range events {
		x := eventView{Event: e, When: e.At.Local().Format("2006-01-02 15:04:05")}
		if e.Code != "" {
			x.Result, _ = text.Error(lang, &masu.Error{Code: e.Code, Args: e.Args})
		}
		view.Events = append(view.Events, x)
	}
	if q.Get("verify") != "" && v.actor.Admin {
		if err := v.service.VerifyEvents(r.Context()); err != nil {
			view.Broken = newProblem(lang, err)
		} else {
			view.Whole = text.Say(lang, "audit_whole")
		}
	}
	return s.show(w, r, v, http.StatusOK, view)
}

// CSV is where the same lines are for a spreadsheet.
func (v *auditView) CSV() string {
	q := url.Values{}
	for name, value := range map[string]string{"who": string(v.Query.Actor), "verb": v.Query.Verb, "what": v.Query.Object} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if v.Days > 0 {
		q.Set("days", strconv.Itoa(v.Days))
	}
	return "/audit.csv?" + q.Encode()
}

// csvLines bounds a spreadsheet of the log.
const csvLines = 100_000

// auditCSV gives the log for a spreadsheet, the newest first.
func (s *Server) auditCSV(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := eventQuery(r.URL.Query())
	q.Limit = 1000
	out := csv.NewWriter(w)
	for n := 0; n < csvLines; n += q.Limit {
		events, err := v.service.Events(r.Context(), q)
		if err != nil && n == 0 {
			return err
		}
		if n == 0 {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			w.Header().Set("Content-Disposition", `attachment; filename="masu-audit.csv"`)
			_ = out.Write(masu.EventHeading()) // Flush tells
		}
		for _, e := range events {
			_ = out.Write(e.Record())
		}
		out.Flush()
		if len(events) < q.Limit || out.Error() != nil {
			return nil // all told, or the browser has gone
		}
		q.Before = events[len(events)-1].Seq
	}
	return nil
}

// eventQuery reads what is asked for.
func eventQuery(q url.Values) masu.EventQuery {
	e := masu.EventQuery{Actor: masu.Username(q.Get("who")), Verb: q.Get("verb"), Object: q.Get("what")}
	if days := daysOf(q); days > 0 {
		e.Since = time.Now().AddDate(0, 0, -days)
	}
	e.Before, _ = strconv.ParseInt(q.Get("before"), 10, 64) // what is no number asks for nothing
	return e
}

func daysOf(q url.Values) int {
	days, _ := strconv.Atoi(q.Get("days")) // what is no number asks for nothing
	return min(max(days, 0), 3650)
}
