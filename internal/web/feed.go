package web

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// feedView is the address under which the reader's calendar finds the timetable.
type feedView struct {
	ID      string // of the token that it is; "" where there is none
	At      time.Time
	Address string // in the moment when it was made, and never again
}

// newFeed looks for the address that somebody has.
func (s *Server) newFeed(r *http.Request, v *visit) (f feedView, err error) {
	list, err := v.service.Tokens(r.Context())
	for _, k := range list {
		if k.Scope == masu.ScopeCalendar {
			f = feedView{ID: k.ID, At: k.At}
		}
	}
	return f, err
}

// makeFeed makes a new address; the one before finds nothing any more.
func (s *Server) makeFeed(w http.ResponseWriter, r *http.Request, v *visit) error {
	k, err := v.service.NewToken(r.Context(), masu.TokenWish{Name: text.Say(s.lang(r, v), "web.feed_name"), Scope: masu.ScopeCalendar, Days: masu.ScopeCalendar.MostDays()})
	if err != nil {
		return err
	}
	view := gpusView{Filled: emptyReserve(), Feed: feedView{ID: k.ID, At: k.At, Address: s.cfg.Origins.Pages() + masu.FeedPath(k.Secret)}}
	return s.showGPUs(w, r, v, http.StatusOK, view)
}

func (s *Server) endFeed(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.service.DeleteToken(r.Context(), r.PostForm.Get("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/gpus#feed", http.StatusSeeOther)
	return nil
}

// feed gives the timetable to a calendar, by an address that nobody can guess:
// calendars bring nothing else. It opens this one thing, and is written nowhere.
func (s *Server) feed(w http.ResponseWriter, r *http.Request) {
	secret, ok := strings.CutSuffix(r.PathValue("file"), ".ics")
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	var u masu.User
	if err == nil && !ok {
		err = masu.E(masu.NotFound, "no_page")
	}
	if err == nil {
		u, err = s.cfg.Gate.ByFeed(r.Context(), secret, from.Addr())
	}
	if err == nil {
		a := masu.Actor{User: u, Door: masu.DoorToken}
		err = s.calendar(w, r, &visit{actor: a, service: s.cfg.As(a)})
	}
	if err != nil {
		if masu.KindOf(err) == masu.Internal && r.Context().Err() == nil {
			s.cfg.Log.Error("feed", "error", err)
		}
		retryAfter(w, err)
		briefly(w, err)
	}
}
