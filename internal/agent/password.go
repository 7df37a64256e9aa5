package agent

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"
)

// passwordTime is what the daemon has to take a new password.
const passwordTime = 60 * time.Second

const maxPassword = 1024 // bytes

// passwords passes new passwords from the command in the box to the daemon,
// which sees in the status that one waits, fetches it and says what came of
// it. One at a time; nothing is kept.
type passwords struct {
	state *state
	turn  chan struct{} // one place: whose turn it is
	who   func(remote string) (uid int)

	mu      sync.Mutex
	id      string
	waiting string
	answer  chan passwordReply
}

type passwordOrder struct {
	Password string `json:"password"`
}

type passwordReply struct {
	OK   bool   `json:"ok"`
	Code string `json:"code,omitempty"` // why not
}

func newPasswords(s *state) *passwords {
	return &passwords{state: s, turn: make(chan struct{}, 1), who: func(remote string) int { return owner(sockets(), remote) }}
}

// post is the command's: it is answered when the daemon has.
func (p *passwords) post(w http.ResponseWriter, r *http.Request) {
	var order passwordOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8*maxPassword)).Decode(&order); err != nil {
		http.Error(w, "not understood", http.StatusBadRequest)
		return
	}
	if len(order.Password) > maxPassword {
		writeJSON(w, passwordReply{Code: "password_long"})
		return
	}
	patience := time.NewTimer(passwordTime)
	defer patience.Stop()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-patience.C:
		writeJSON(w, passwordReply{Code: "password_unanswered"})
		return
	case <-r.Context().Done():
		return
	}
	answer := p.begin(order.Password)
	defer p.end()
	select {
	case reply := <-answer:
		writeJSON(w, reply)
	case <-patience.C:
		writeJSON(w, passwordReply{Code: "password_unanswered"})
	case <-r.Context().Done():
	}
}

func (p *passwords) begin(password string) <-chan passwordReply {
	p.mu.Lock()
	p.id, p.waiting, p.answer = rand.Text(), password, make(chan passwordReply, 1)
	id, answer := p.id, p.answer
	p.mu.Unlock()
	p.state.change(func(s *state) { s.password = id })
	return answer
}

func (p *passwords) end() {
	p.mu.Lock()
	p.id, p.waiting, p.answer = "", "", nil
	p.mu.Unlock()
	p.state.change(func(s *state) { s.password = "" })
}

// get is the daemon's, and only root's: the member's other programs must not
// read what the member types.
func (p *passwords) get(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.daemons(r) {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, passwordOrder{Password: p.waiting})
}

func (p *passwords) reply(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.daemons(r) {
		http.NotFound(w, r)
		return
	}
	var reply passwordReply
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&reply); err != nil {
		http.Error(w, "not understood", http.StatusBadRequest)
		return
	}
	select {
	case p.answer <- reply:
	default: // answered already
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *passwords) daemons(r *http.Request) bool {
	return p.id != "" && r.PathValue("id") == p.id && p.who(r.RemoteAddr) == 0
}

func removeSocket(path string) error {
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Type() != fs.ModeSocket {
		return errors.New("no socket")
	}
	return os.Remove(path)
}
