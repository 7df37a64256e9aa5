package web

import (
	"net/http"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// wallWaiting is how much of the queue has room on a wall.
const wallWaiting = 5

// wallView is the board for a display on the wall: nobody has signed in there.
type wallView struct {
	base
	Board gpuBoardView
	Head  string // how many are free
	Of    string // the machine
	At    time.Time
}

func (*wallView) template() string            { return "wall" }
func (*wallView) title(lang masu.Lang) string { return text.Say(lang, "web.gpus_title") }

// wall shows the board to everybody who reaches the pages, where the house allows it.
func (s *Server) wall(w http.ResponseWriter, r *http.Request, _ *visit) error {
	view, err := s.newWall(r)
	if err != nil {
		return err
	}
	return s.show(w, r, nil, http.StatusOK, view)
}

// wallBoard gives the part of it that moves.
func (s *Server) wallBoard(w http.ResponseWriter, r *http.Request, _ *visit) error {
	view, err := s.newWall(r)
	if err != nil {
		return err
	}
	return s.part(w, r, nil, "wallboard", view)
}

func (s *Server) newWall(r *http.Request) (*wallView, error) {
	if s.cfg.Wall == nil {
		return nil, masu.E(masu.NotFound, "no_page")
	}
	b, err := s.cfg.Wall(r.Context())
	if err != nil {
		return nil, err
	}
	lang := s.lang(r, nil)
	board := newGPUBoard(lang, b, "", nil)
	for i, g := range b.GPUs {
		if len(g.Outside) > 0 { // who, and with what, is the lab's own business
			board.GPUs[i].Outside = []string{text.Say(lang, "web.outside")}
		}
	}
	free := 0
	for _, g := range b.GPUs {
		if g.Free() {
			free++
		}
	}
	board.Waiting = board.Waiting[:min(len(board.Waiting), wallWaiting)]
	view := &wallView{Board: board, Of: s.cfg.HostName, At: b.At, Head: text.Say(lang, "web.wall_free", free, len(b.GPUs))}
	if free == 0 {
		view.Head = text.Say(lang, "web.wall_none")
	}
	return view, nil
}
