package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

const (
	idleEvery = 30 * time.Second // how often it is seen whether somebody is connected
	endWithin = 5 * time.Second  // for an app that is told to end
	mostWish  = 64 << 10
)

// apps are those of the box: they come with it, and by the member's word.
type apps struct {
	ctx context.Context // of the box
	run func(func())    // on a goroutine of the box

	sup *supervisor // once the member is received
	mu  sync.Mutex
	all map[string]*appRun
}

// appRun is an app that somebody asked for, whether it runs or rests.
type appRun struct {
	app  app
	wish masu.AppWish
	log  *appLog
	end  context.CancelFunc // nil while it rests
	done chan struct{}      // closed when it has ended
}

func newApps(ctx context.Context, run func(func())) *apps {
	return &apps{ctx: ctx, run: run, all: map[string]*appRun{}}
}

// received begins the apps that the box came with.
func (s *apps) received(sup *supervisor, wishes []masu.AppWish) {
	s.mu.Lock()
	s.sup = sup
	s.mu.Unlock()
	for _, w := range wishes {
		if err := s.put(w); err != nil {
			sup.state.app(w.Name, func(m *masu.App) { m.Error = err.Error() })
		}
	}
	s.run(func() { every(s.ctx, idleEvery, func() { s.idle(sockets, time.Now()) }) })
}

// put takes an app, in the place of one of its name.
func (s *apps) put(w masu.AppWish) error {
	a, err := appOf(w)
	if err != nil {
		return err
	}
	s.stop(w.Name)
	s.mu.Lock()
	log := &appLog{}
	if old := s.all[w.Name]; old != nil {
		log = old.log
	}
	s.all[w.Name] = &appRun{app: a, wish: w, log: log}
	s.mu.Unlock()
	s.sup.state.put(masu.App{Name: w.Name, Port: a.port, Own: w.Command != "", Rests: w.OnVisit})
	if !w.OnVisit {
		s.start(w.Name)
	}
	return nil
}

// drop ends an app and forgets it.
func (s *apps) drop(name string) bool {
	s.stop(name)
	s.mu.Lock()
	_, known := s.all[name]
	delete(s.all, name)
	s.mu.Unlock()
	s.sup.state.drop(name)
	return known
}

// start begins an app that rests.
func (s *apps) start(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[name]
	if r == nil || r.end != nil || s.ctx.Err() != nil {
		return r != nil
	}
	ctx, end := context.WithCancel(s.ctx)
	r.end, r.done = end, make(chan struct{})
	s.sup.state.app(name, func(m *masu.App) { m.Rests, m.Error = false, "" })
	s.run(func() {
		defer close(r.done)
		s.sup.keep(ctx, r.app, r.log)
	})
	return true
}

// stop ends an app, which rests then.
func (s *apps) stop(name string) bool {
	s.mu.Lock()
	r := s.all[name]
	if r == nil || r.end == nil {
		s.mu.Unlock()
		return r != nil
	}
	end, done := r.end, r.done
	s.mu.Unlock()
	end()
	<-done
	s.mu.Lock()
	if r.done != done || r.end == nil { // somebody else has stopped it meanwhile, and perhaps started it again
		s.mu.Unlock()
		return true
	}
	r.end = nil
	s.mu.Unlock()
	s.sup.state.app(name, func(m *masu.App) { m.Ready, m.Rests, m.Slow, m.Since, m.Error = false, true, false, time.Time{}, "" })
	return true
}

// await starts an app and waits until it answers, or until it is said why it does not.
func (s *apps) await(ctx context.Context, name string) error {
	if !s.start(name) {
		return fmt.Errorf("there is no app %q", name)
	}
	for {
		status, changed := s.sup.state.now()
		i := slices.IndexFunc(status.Apps, func(a masu.App) bool { return a.Name == name })
		switch {
		case i < 0:
			return fmt.Errorf("%s was taken away", name)
		case status.Apps[i].Ready:
			return nil
		case status.Apps[i].Error != "":
			return errors.New(status.Apps[i].Error)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle ends the apps that nobody has been connected to for the time that they have.
func (s *apps) idle(look func() []socket, now time.Time) {
	s.mu.Lock()
	var running []*appRun
	for _, r := range s.all {
		if r.end != nil && r.wish.IdleFor > 0 {
			running = append(running, r)
		}
	}
	s.mu.Unlock()
	if len(running) == 0 {
		return
	}
	busy := map[int]bool{}
	for _, c := range look() {
		if c.open { // what the kernel only remembers does not count
			busy[int(c.local.Port())] = true
		}
	}
	for _, r := range running {
		if busy[r.app.port] || r.app.usedAt.load().IsZero() {
			r.app.usedAt.store(now)
		} else if now.Sub(r.app.usedAt.load()) >= r.wish.IdleFor {
			r.app.usedAt.store(time.Time{})
			s.stop(r.wish.Name)
		}
	}
}

// moment is a time that two goroutines know of.
type moment struct {
	mu sync.Mutex
	t  time.Time
}

func (m *moment) load() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.t
}

func (m *moment) store(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t = t
}

// startOf is how apps stand before they run.
func startOf(wishes []masu.AppWish) (out []masu.App) {
	for _, w := range wishes {
		a := masu.App{Name: w.Name, Port: w.Port, Own: w.Command != "", Rests: w.OnVisit}
		if port, known := masu.AppPort(w.Name); known {
			a.Port = port
		} else if w.Command == "" {
			a.Error = fmt.Sprintf("masu does not know the app %q", w.Name)
		}
		out = append(out, a)
	}
	return out
}

// appOf says how an app is started.
func appOf(w masu.AppWish) (app, error) {
	if w.Command == "" {
		a, known := appNamed(w.Name)
		if !known {
			return a, fmt.Errorf("masu does not know the app %q", w.Name)
		}
		if w.Name == "tensorboard" && w.Logs != "" {
			a.argv = func(b box) []string { return tensorboardArgv(b, filepath.Join(b.Work, w.Logs)) }
		}
		a.usedAt = &moment{}
		return a, nil
	}
	if !masu.ValidAppName(w.Name) || w.Port < 1024 || w.Port > 65535 || w.Port == masu.AgentPort {
		return app{}, fmt.Errorf("an app %q at port %d cannot be", w.Name, w.Port)
	}
	return app{name: w.Name, port: w.Port, own: true, path: w.Health, usedAt: &moment{}, env: appVariables(w),
		argv: func(b box) []string { return []string{b.Shell, "-c", w.Command} }}, nil
}

// appVariables are those by which common programs learn where to listen, and
// that they are alone on their address.
func appVariables(w masu.AppWish) []string {
	port := strconv.Itoa(w.Port)
	return []string{
		"PORT=" + port, "HOST=127.0.0.1", "MASU_APP=" + w.Name, "MASU_BASE_URL=/",
		"STREAMLIT_SERVER_PORT=" + port, "STREAMLIT_SERVER_ADDRESS=127.0.0.1", "STREAMLIT_SERVER_HEADLESS=true", "STREAMLIT_BROWSER_GATHER_USAGE_STATS=false",
		"GRADIO_SERVER_PORT=" + port, "GRADIO_SERVER_NAME=127.0.0.1", "GRADIO_ANALYTICS_ENABLED=False",
		"ASPNETCORE_URLS=http://127.0.0.1:" + port,
	}
}

// routes are how the daemon speaks about apps, once the member is received.
func (s *apps) routes() http.Handler {
	mux := http.NewServeMux()
	s.handle(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		early := s.sup == nil
		s.mu.Unlock()
		if early {
			http.Error(w, "the box is not ready", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *apps) handle(mux *http.ServeMux) {
	mux.HandleFunc("PUT /v1/apps/{name}", func(w http.ResponseWriter, r *http.Request) {
		var wish masu.AppWish
		err := json.NewDecoder(io.LimitReader(r.Body, mostWish)).Decode(&wish)
		if err == nil && wish.Name != r.PathValue("name") {
			err = errors.New("the names differ")
		}
		if err == nil {
			err = s.put(wish)
		}
		answer(w, http.StatusBadRequest, err)
	})
	mux.HandleFunc("DELETE /v1/apps/{name}", func(w http.ResponseWriter, r *http.Request) { s.known(w, s.drop(r.PathValue("name"))) })
	mux.HandleFunc("POST /v1/apps/{name}/stop", func(w http.ResponseWriter, r *http.Request) { s.known(w, s.stop(r.PathValue("name"))) })
	mux.HandleFunc("POST /v1/apps/{name}/start", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusBadGateway, s.await(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("GET /v1/apps/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		run := s.all[r.PathValue("name")]
		s.mu.Unlock()
		if run == nil {
			s.known(w, false)
			return
		}
		run.log.copy(r.Context(), w, r.FormValue("follow") != "")
	})
}

func (s *apps) known(w http.ResponseWriter, yes bool) {
	if !yes {
		answer(w, http.StatusNotFound, errors.New("there is no such app"))
	}
}

func answer(w http.ResponseWriter, code int, err error) {
	if err != nil {
		http.Error(w, err.Error(), code)
	}
}

// listensAt tells whether anything takes connections at a port of the box.
func listensAt(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// endGroup ends a program with its own children, politely at first, when ctx ends.
func endGroup(ctx context.Context, pid int, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(endWithin):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}
