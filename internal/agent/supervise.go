package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// How an app that dies is started again: at once at first, then ever more
// slowly; one that has lived for a while begins anew.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	healthy    = 60 * time.Second
)

// answersWithin is how long an app may take until it is told that it does not answer yet.
const answersWithin = time.Minute

// supervisor keeps the apps running.
type supervisor struct {
	box   box
	kids  *children
	state *state
	out   io.Writer // the box's log

	patience time.Duration // answersWithin
}

// keep runs an app, and again each time it dies, until ctx ends and it has died.
func (s *supervisor) keep(ctx context.Context, a app, log io.Writer) {
	pause := firstPause
	for {
		s.byHand(ctx, a)
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		words, err := s.once(ctx, a, log)
		s.state.app(a.name, func(m *masu.App) {
			m.Ready, m.Slow, m.Since = false, false, time.Time{}
			if ctx.Err() == nil { // nobody has told it to end
				m.Error = lastLines(words, err)
			}
		})
		if ctx.Err() == nil {
			fmt.Fprintf(io.MultiWriter(log, s.out), "masu: %v\n", err)
		}
		if time.Since(began) > healthy {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// byHand waits while a program that masu has not begun has the port of a member's
// app. What they began by hand, and keep as an app now, is that app until it ends.
func (s *supervisor) byHand(ctx context.Context, a app) {
	if !a.own || !listensAt(a.port) {
		return
	}
	s.state.app(a.name, func(m *masu.App) { m.Ready, m.Slow, m.Since, m.Error = true, false, time.Now(), "" })
	for ctx.Err() == nil && listensAt(a.port) {
		select {
		case <-ctx.Done():
		case <-time.After(portsEvery):
		}
	}
	s.state.app(a.name, func(m *masu.App) { m.Ready, m.Since = false, time.Time{} })
}

// once runs an app to its end and gives what it said last, and how it ended.
func (s *supervisor) once(ctx context.Context, a app, log io.Writer) (*tail, error) {
	words := &tail{to: io.MultiWriter(log, s.out)}
	argv := a.argv(s.box)
	if argv[0] == "" {
		return words, fmt.Errorf("%s is not installed in this environment", a.name)
	}
	pid, ended, copied, err := s.launch(argv, slices.Concat(s.box.cramped(), a.env), words)
	if err != nil {
		return words, fmt.Errorf("%s: %w", argv[0], err)
	}
	asking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if a.await(asking) {
			s.state.app(a.name, func(m *masu.App) { m.Ready, m.Slow, m.Since, m.Error = true, false, time.Now(), "" })
		}
	})
	late := time.AfterFunc(s.patience, func() {
		s.state.app(a.name, func(m *masu.App) {
			if !m.Ready && asking.Err() == nil {
				m.Slow, m.Error = true, lastLines(words, fmt.Errorf("%s does not answer at port %d", a.name, a.port))
			}
		})
	})
	gone := make(chan struct{})
	wg.Go(func() { endGroup(ctx, pid, gone) })
	status := <-ended
	close(gone)
	late.Stop()
	stop()
	wg.Wait()
	_ = syscall.Kill(-pid, syscall.SIGKILL) // what it has left behind in its own group
	select {
	case <-copied:
	case <-time.After(time.Second): // a child that lives on holds its output open
	}
	return words, describe(a.name, status)
}

func describe(name string, s syscall.WaitStatus) error {
	switch {
	case s.Signaled() && s.Signal() == syscall.SIGKILL:
		return fmt.Errorf("%s was killed; perhaps there was not enough memory", name)
	case s.Signaled():
		return fmt.Errorf("%s was ended by the signal %q", name, s.Signal())
	}
	return fmt.Errorf("%s ended with exit code %d", name, s.ExitStatus())
}

// launch starts a program as the member, in a session of its own.
func (s *supervisor) launch(argv, env []string, words io.Writer) (pid int, ended <-chan syscall.WaitStatus, copied <-chan struct{}, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, nil, err
	}
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, nil, errors.Join(err, r.Close())
	}
	defer null.Close()
	_ = w.Chown(s.box.User.UID, s.box.User.GID) // so that it can open /dev/stdout
	pid, ended, err = s.kids.start(argv, &syscall.ProcAttr{
		Dir:   s.box.Work,
		Env:   append(slices.Clone(s.box.Env), env...),
		Files: []uintptr{null.Fd(), w.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Credential: credential(s.box.User)},
	})
	if err != nil {
		return 0, nil, nil, errors.Join(err, r.Close())
	}
	done := make(chan struct{})
	go func() { // ends when nobody has the other end any more
		defer close(done)
		defer r.Close()
		_, _ = io.Copy(words, r)
	}()
	return pid, ended, done, nil
}

// await asks until the app answers; false if ctx ended first.
func (a app) await(ctx context.Context) bool {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	pause := 10 * time.Millisecond
	for tries := 0; ; tries++ {
		if a.answers(ctx, &client) {
			return true
		}
		if tries > 1000 { // ten seconds: no longer worth a hundred questions a second
			pause = 250 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (a app) answers(ctx context.Context, client *http.Client) bool {
	if a.path == "" {
		return listensAt(a.port)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", a.port, a.path), nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode < 400
}

// tail passes output on and keeps the end of it.
type tail struct {
	to   io.Writer
	mu   sync.Mutex
	last []byte
}

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, p[max(0, len(p)-tailSize):]...)
	t.last = t.last[max(0, len(t.last)-tailSize):]
	t.mu.Unlock()
	if _, err := t.to.Write(p); err != nil {
		return len(p), nil // an app must not die because nobody keeps the log
	}
	return len(p), nil
}

// lastLines says how an app ended, and the last few lines of what it said.
func lastLines(t *tail, err error) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for l := range strings.Lines(string(t.last)) {
		l = strings.TrimSpace(strings.Map(printable, l))
		if l != "" {
			lines = append(lines, l)
		}
	}
	lines = append([]string{err.Error()}, lines[max(0, len(lines)-3):]...)
	for i, l := range lines {
		if r := []rune(l); len(r) > 300 {
			lines[i] = string(r[:300]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return -1
	}
	return r
}

// command runs what the box is for, once, and gives its exit code as a shell would.
func (s *supervisor) command(argv []string) int {
	if _, err := os.Stat(s.box.Work); err != nil { // a run without a folder
		s.box.Work = s.box.User.Home
	}
	c := findCommand(argv[0], s.box.path(), s.box.Work)
	if c.path == "" {
		complain(fmt.Errorf("%s: cannot be run", argv[0]))
		return c.code
	}
	pid, ended, copied, err := s.launch(append([]string{c.path}, argv[1:]...), nil, &tail{to: s.out})
	if err != nil {
		complain(err)
		return exitCannot
	}
	status := <-ended
	_ = syscall.Kill(-pid, syscall.SIGKILL) // what it has left behind in its own group
	select {
	case <-copied:
	case <-time.After(time.Second): // a child that lives on holds its output open
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
