package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

const (
	headerTime = 10 * time.Second // for the head of a request
	bodyTime   = 30 * time.Second // for its body
	idleTime   = 2 * time.Minute  // between requests; longer than the client's
	grace      = 5 * time.Second  // for what is under way when the daemon ends
	pingTime   = 10 * time.Second // between looks whether a command's caller is still there
	maxHeader  = 16 << 10
)

// ServerConfig says whom a Server lets in, and to what. All but SSH, Metrics and Version are required.
type ServerConfig struct {
	// Identify asks the kernel whose process is at the other end.
	Identify func(*net.UnixConn) (uid int, err error)
	Gate     masu.Gate
	Accounts masu.Accounts // to find the member that root acts for
	As       func(masu.Actor) masu.Service
	// SSH serves a connection to the ssh gateway, of somebody who is known already; nil where there is none.
	SSH     func(ctx context.Context, conn net.Conn, u masu.User, name string)
	Metrics *metrics.Set // what the whole daemon counts; nil where nobody counts
	Version string       // the program's
	Log     *slog.Logger
}

// Server gives a masu.Service to each who connects.
type Server struct {
	ServerConfig
	handler http.Handler
	api     []route
	ping    time.Duration
	lives   lives
}

// NewServer checks that nothing is missing.
func NewServer(c ServerConfig) (*Server, error) {
	if c.Identify == nil || c.Gate == nil || c.Accounts == nil || c.As == nil || c.Log == nil {
		return nil, errors.New("api: ServerConfig needs Identify, Gate, Accounts, As and Log")
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	s := &Server{ServerConfig: c, ping: pingTime, lives: lives{going: map[*request]bool{}}}
	s.handler = s.routes()
	return s, nil
}

// peer is who is at the other end of a connection, as the kernel says.
type peer struct {
	uid int
	err error
}

type peerKey struct{}

func (s *Server) identify(ctx context.Context, c net.Conn) context.Context {
	p := peer{err: fmt.Errorf("%T has no peer credentials", c)}
	if u, ok := c.(*net.UnixConn); ok {
		p.uid, p.err = s.Identify(u)
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// Serve answers on l until ctx ends, and returns when all that it started has
// ended. Closing l is its business.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conns sync.WaitGroup // http.Server waits neither for handlers nor for connections taken over
	srv := &http.Server{
		Handler:           s.handler,
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(ctx, connsKey{}, &conns) },
		ConnContext:       s.identify,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			}
		},
	}
	var ending sync.WaitGroup
	ending.Go(func() { s.watchEndings(ctx) })
	ending.Go(func() {
		<-ctx.Done()
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if srv.Shutdown(soon) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	cancel()
	ending.Wait()
	conns.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// connsKey finds the count of connections, which one that is taken over stays part of.
type connsKey struct{}

// actor says who asks. No header says it: only root may name another member,
// because root could become that member anyway.
func (s *Server) actor(r *http.Request) (masu.Actor, masu.Token, error) {
	if reads, ok := r.Context().Value(tokenKey{}).(bool); ok { // by TokenHandler, and only by it
		a, k, err := s.bearer(r)
		if err == nil && k.Scope != masu.ScopeAll && !reads {
			err = masu.E(masu.Denied, "token_reads_only")
		}
		return a, k, err
	}
	p, ok := r.Context().Value(peerKey{}).(peer)
	as := masu.Username(r.Header.Get(headerAs))
	user, reason, err := s.user(r.Context(), p, ok, as)
	s.Log.DebugContext(r.Context(), "peer", "uid", p.uid, "as", as, "user", user.Name, "allowed", err == nil, "reason", reason, "route", r.Pattern)
	return masu.Actor{User: user, Door: masu.DoorSocket}, masu.Token{}, err
}

func (s *Server) user(ctx context.Context, p peer, known bool, as masu.Username) (masu.User, string, error) {
	if !known || p.err != nil {
		if _, ok := errors.AsType[*masu.Error](p.err); ok {
			return masu.User{}, p.err.Error(), p.err
		}
		return masu.User{}, "no identity", masu.E(masu.Denied, "peer_unknown").Because(p.err)
	}
	if as == "" || p.uid != 0 {
		u, err := s.Gate.ByUID(ctx, p.uid)
		if err == nil && as != "" && u.Name != as {
			return masu.User{}, "not root", masu.E(masu.Denied, "as_denied", as)
		}
		return u, "the kernel's word", err
	}
	account, err := s.Accounts.ByName(as)
	if err != nil {
		return masu.User{}, "no such account", err
	}
	u, err := s.Gate.ByUID(ctx, account.UID)
	return u, "root acts for the member", err
}

// refuse answers with an error; its cause goes to the log.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	err = s.said(r, err)
	e := toWire(err)
	writeJSON(w, statuses[masu.ParseKind(e.Kind)], e)
}

// said gives an error the form in which it leaves, and logs what does not leave.
func (s *Server) said(r *http.Request, err error) error {
	err = spoken(r.Context(), err)
	level := slog.LevelDebug
	if masu.KindOf(err) == masu.Internal {
		level = slog.LevelError
	}
	s.Log.Log(r.Context(), level, "request failed", "route", r.Pattern, "code", masu.CodeOf(err), "error", err)
	return err
}
