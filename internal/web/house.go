package web

import (
	"net/http"
	"time"

	"github.com/masu-lab/masu"
)

// houseView is what everybody should know now.
type houseView struct {
	Banner string
	Closes time.Time // from then on nothing new starts; zero where that is not so
	Left   string    // until then, in words; "" when it is past
}

func newHouse(lang masu.Lang, h masu.House, now time.Time) houseView {
	v := houseView{Banner: h.Banner, Closes: h.ClosedAt}
	if left := h.ClosedAt.Sub(now); !h.ClosedAt.IsZero() && left > 0 {
		v.Left = since(lang, left)
	}
	return v
}

// house gives the notices of every page, for those that are open.
func (s *Server) house(w http.ResponseWriter, r *http.Request, v *visit) error {
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	return s.part(w, r, v, "house", newHouse(lang, hello.House, time.Now()))
}
