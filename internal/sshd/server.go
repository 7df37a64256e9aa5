// Package sshd is the ssh gateway: members come in with their own keys, and
// what they begin runs inside their box. There is no sshd in a box, no way from
// here to anywhere else than a box's own loopback and sockets, and no port that
// is opened anywhere else.
//
// The key decides who somebody is. The name before the @ only says which of
// that member's workspaces they mean.
package sshd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

const (
	graceTime    = 20 * time.Second // for the handshake
	beginTime    = 20 * time.Second // for a session to begin its program
	authTries    = 6
	knocksMost   = 200 // connections in their handshake; then the one that has waited longest goes
	clientsMost  = 100 // connections of one member
	channelsMost = 32  // of one connection
	// The other side may send 2 MiB into each channel before anything reads
	// them, so what counts is how many a member has in all.
	memberChannelsMost = 128
	askEvery           = 2 * time.Second
	askTime            = 10 * time.Second
)

// Config is what a gateway is made of.
type Config struct {
	Gate    masu.Gate
	As      func(masu.Actor) masu.Service
	HostKey ssh.Signer
	// HostCert is the host key with what an authority says of it; nil for none.
	HostCert ssh.Signer
	Trust    Trust
	// AgentForwarding lets members have their laptop's agent in their own box, if they ask for it (ssh -A).
	AgentForwarding bool

	Say func(lang masu.Lang, code string, args []string) string
	Log *slog.Logger
}

// Server is the gateway.
type Server struct {
	Config
	work sync.WaitGroup // every connection

	mu      sync.Mutex
	closed  bool
	knocks  []net.Conn // in their handshake, the oldest first
	clients map[*client]bool
	open    map[masu.Username]int // channels, of all connections
}

// New checks that nothing is missing.
func New(c Config) (*Server, error) {
	if c.Gate == nil || c.As == nil || c.HostKey == nil || c.Say == nil || c.Log == nil {
		return nil, errors.New("sshd: Config needs Gate, As, HostKey, Say and Log")
	}
	return &Server{Config: c, clients: map[*client]bool{}, open: map[masu.Username]int{}}, nil
}

// Run ends the connections of those who may not be here any more, until ctx
// ends; then it ends all of them.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.askAgain(ctx)
		case <-ctx.Done():
			s.close()
			s.work.Wait()
			return nil
		}
	}
}

// close ends everything that is open, and lets nothing more begin.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.knocks {
		_ = c.Close()
	}
	for c := range s.clients {
		c.end()
	}
}

// Serve answers at a port until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // no more files: those who go away make room
			s.Log.Warn("ssh: accept", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.begin(func() { s.answer(ctx, conn, s.byKey(ctx, addressOf(conn))) }, conn)
	}
}

// ServeVouched answers somebody whom the kernel has vouched for: no key is
// asked of them. name is the workspace; "" for the one that their ssh names.
// It returns when they have gone.
func (s *Server) ServeVouched(ctx context.Context, conn net.Conn, u masu.User, name string) {
	done := make(chan struct{})
	s.begin(func() { defer close(done); s.answer(ctx, conn, s.byKernel(u, name)) }, conn)
	<-done
}

// begin does a connection's work, unless the gateway is closing.
func (s *Server) begin(work func(), conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		go work() // finds it closed
		return
	}
	s.work.Go(work)
}

// answer shakes hands and serves until the connection ends.
func (s *Server) answer(ctx context.Context, conn net.Conn, cfg *ssh.ServerConfig) {
	defer conn.Close()
	s.knock(conn)
	_ = conn.SetDeadline(time.Now().Add(graceTime)) // an error is one of the handshake too
	sc, channels, requests, err := ssh.NewServerConn(conn, cfg)
	s.knocked(conn)
	if err != nil {
		s.Log.Debug("ssh: nobody came in", "from", conn.RemoteAddr(), "error", err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	c := newClient(ctx, s, sc)
	if !s.enter(c) {
		c.end()
		return
	}
	defer s.leave(c)
	s.Log.Info("ssh: signed in", "user", c.who.Name, "key", c.who.fingerprint, "workspace", c.name, "from", conn.RemoteAddr())
	c.serve(channels, requests)
}

// knock counts a handshake. Whoever only holds the door open has to go first:
// those who come in need a moment, not seconds.
func (s *Server) knock(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.knocks = append(s.knocks, conn); len(s.knocks) > knocksMost {
		_ = s.knocks[0].Close()
		s.knocks = slices.Delete(s.knocks, 0, 1)
	}
}

func (s *Server) knocked(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knocks = slices.DeleteFunc(s.knocks, func(c net.Conn) bool { return c == conn })
}

// crowded tells whether a member has as many connections as anybody may; it is called with the lock held.
func (s *Server) crowded(user masu.Username) bool {
	n := 0
	for c := range s.clients {
		if c.who.Name == user {
			n++
		}
	}
	return n >= clientsMost
}

// opens counts a channel, unless the connection or its member has as many as anybody may.
func (s *Server) opens(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.channels >= channelsMost || s.open[c.who.Name] >= memberChannelsMost {
		return false
	}
	c.channels++
	s.open[c.who.Name]++
	return true
}

func (s *Server) closes(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.channels--
	if s.open[c.who.Name]--; s.open[c.who.Name] == 0 {
		delete(s.open, c.who.Name)
	}
}

func (s *Server) enter(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || c.who.Name == "" || s.crowded(c.who.Name) {
		return false
	}
	s.clients[c] = true
	return true
}

func (s *Server) leave(c *client) {
	c.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
}

// askAgain asks the gate about everybody who is here, once for each way in.
func (s *Server) askAgain(ctx context.Context) {
	s.mu.Lock()
	here := map[pass][]*client{}
	for c := range s.clients {
		here[c.who.pass] = append(here[c.who.pass], c)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for p, clients := range here {
		u, err := s.holds(ctx, p)
		for _, c := range clients {
			if gone(err) || err == nil && (u.Name != c.who.Name || u.UID != c.who.UID || u.Admin != c.who.Admin) {
				s.Log.Info("ssh: not welcome any more", "user", c.who.Name, "key", p.fingerprint, "error", err)
				c.end()
			}
		}
	}
}

// gone tells whether an answer of the gate's is about who asks, and no trouble of the gate's own.
func gone(err error) bool {
	k := masu.KindOf(err)
	return err != nil && (k == masu.Denied || k == masu.NotFound || k == masu.Conflict)
}
