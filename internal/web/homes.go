package web

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/masu-lab/masu"
)

// homes are the first pages that are open. A lab has hundreds of them, on which
// hardly ever anything passes: what a member's pages show alike is watched once
// for all of them and written once, and a page that is told nothing costs no
// goroutine to tell it.
type homes struct {
	mu sync.Mutex
	of map[audience]*home
}

// audience is for whom a card is written: nothing else makes two pages differ.
type audience struct {
	name masu.Username
	lang masu.Lang
}

// home is what the open pages of one audience have in common.
type home struct {
	who     audience
	pages   map[*line]bool
	told    map[masu.WorkspaceID][sha256.Size]byte // the last of each workspace
	watched bool
	ctx     context.Context
	end     context.CancelFunc
}

func newHomes() homes { return homes{of: map[audience]*home{}} }

// join has a page told what changes. What it shows to begin with is to be read
// after this, so that nothing falls in between.
func (hs *homes) join(until context.Context, who audience, page *line) *home {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.of[who]
	if h == nil {
		h = &home{who: who, pages: map[*line]bool{}, told: map[masu.WorkspaceID][sha256.Size]byte{}}
		h.ctx, h.end = context.WithCancel(until)
		hs.of[who] = h
	}
	h.pages[page] = true
	return h
}

// leave has a page told nothing more; after the last, nobody watches.
func (hs *homes) leave(h *home, page *line) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if delete(h.pages, page); len(h.pages) == 0 {
		hs.close(h)
	}
}

// close forgets a home; its audience's next page finds another. The caller holds the lock.
func (hs *homes) close(h *home) {
	h.end()
	if hs.of[h.who] == h {
		delete(hs.of, h.who)
	}
}

// watchHome begins to tell the pages of a home what changes, once it is known what they show.
func (s *Server) watchHome(h *home, service masu.Service) {
	s.homes.mu.Lock()
	defer s.homes.mu.Unlock()
	if !h.watched {
		h.watched = true
		go s.tellHome(h, service) // ends with the last page, or with the server
	}
}

// tellHome tells the pages of a home what changes. When it cannot any more, they end, and the browsers come again.
func (s *Server) tellHome(h *home, service masu.Service) {
	defer func() {
		s.homes.mu.Lock()
		defer s.homes.mu.Unlock()
		for page := range h.pages {
			page.close()
		}
		s.homes.close(h)
	}()
	for ws, err := range service.Changes(h.ctx) {
		if err != nil {
			return
		}
		b, err := s.homeCard(h.who, ws)
		if err != nil {
			s.cfg.Log.Error("page", "part", "card", "error", err)
			return
		}
		s.homes.tell(h, ws.ID, b)
	}
}

// homeCard is a workspace's card as a message.
func (s *Server) homeCard(r audience, ws masu.Workspace) ([]byte, error) {
	e, err := s.newCardEvent(r.lang, "card", ws, r.name)
	if err != nil {
		return nil, err
	}
	return event{"workspace", e}.bytes()
}

// tell gives the pages of a home what they do not show yet.
func (hs *homes) tell(h *home, id masu.WorkspaceID, card []byte) {
	sum := sha256.Sum256(card)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h.told[id] == sum {
		return
	}
	h.told[id] = sum
	for page := range h.pages {
		page.put(card)
	}
}

// shows notes what a page was begun with: the watch begins with the same, which nobody needs twice.
func (hs *homes) shows(h *home, id masu.WorkspaceID, card []byte) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if _, known := h.told[id]; !known {
		h.told[id] = sha256.Sum256(card)
	}
}
