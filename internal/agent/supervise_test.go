package agent

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// newSupervisor supervises in a folder of the test's, with its own reaper.
func newSupervisor(t *testing.T, out io.Writer) *supervisor {
	t.Helper()
	kids := newChildren()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	done := make(chan struct{})
	go func() {
		kids.run(ended)
		close(done)
	}()
	t.Cleanup(func() {
		signal.Stop(ended)
		close(ended)
		<-done
	})
	s := newState()
	return &supervisor{box: box{Work: t.TempDir(), Env: os.Environ()}, kids: kids, state: s, out: out, patience: answersWithin}
}

// await waits until the status is as wished.
func await(t *testing.T, s *state, what string, ok func(masu.AgentStatus) bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		status, changed := s.now()
		if ok(status) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: not so, but %+v", what, status)
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// TestAppIsStartedAgain: an app that dies is told with its last words, and
// comes back; it is ready when it answers and not before.
func TestAppIsStartedAgain(t *testing.T) {
	var answers atomic.Bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !answers.Load() {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	u, _ := url.Parse(web.URL)
	port, _ := strconv.Atoi(u.Port())

	out := &safeBuffer{}
	s := newSupervisor(t, out)
	pidfile := filepath.Join(s.box.Work, "pid")
	script := `if [ -e died ]; then echo $$ >pid.new; mv pid.new pid; exec sleep 1000; fi
touch died; echo hello; printf 'one\n\033[31mtwo\033[0m\nthree\nfour\n' >&2; exit 3`
	a := app{name: "jupyter", port: port, path: "/", argv: func(box) []string { return []string{"/bin/sh", "-c", script} }}
	s.state.change(func(s *state) { s.received, s.asked = true, []masu.App{{Name: a.name, Port: port}} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.keep(ctx, a, io.Discard)
		close(done)
	}()
	await(t, s.state, "it died", func(m masu.AgentStatus) bool {
		return m.Apps[0].Error == "jupyter ended with exit code 3\n[31mtwo[0m\nthree\nfour"
	})
	answers.Store(true)
	await(t, s.state, "it is back", func(m masu.AgentStatus) bool {
		return m.Ready && m.Apps[0].Ready && m.Apps[0].Error == "" && !m.Apps[0].Since.IsZero()
	})
	var pid int
	for pid == 0 { // it answers through the test's server, so perhaps before it has begun
		b, _ := os.ReadFile(pidfile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		if t.Context().Err() != nil {
			t.Fatal("it did not begin")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	syscall.Kill(pid, syscall.SIGTERM)
	<-done
	if m, _ := s.state.now(); m.Ready || m.Apps[0].Error != "" { // it was told to end
		t.Errorf("after its end: %+v", m)
	}
	if !strings.Contains(out.String(), "hello\n") {
		t.Errorf("the box's log has %q", out.String())
	}
}

// TestAppThatCannotStart says so at each try, and goes when it is told to.
func TestAppThatCannotStart(t *testing.T) {
	for want, argv := range map[string][]string{
		"tensorboard is not installed in this environment": {""},
		"/no/such: no such file or directory":              {"/no/such"},
	} {
		s := newSupervisor(t, io.Discard)
		s.state.change(func(s *state) { s.received, s.asked = true, startOf(masu.NamedApps("tensorboard")) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			s.keep(ctx, app{name: "tensorboard", argv: func(box) []string { return argv }}, io.Discard)
			close(done)
		}()
		await(t, s.state, want, func(m masu.AgentStatus) bool { return m.Apps[0].Error == want && !m.Ready })
		cancel()
		<-done
	}
}

// TestReaperLeavesNothing: each start gets its own status, and orphans leave none.
func TestReaperLeavesNothing(t *testing.T) {
	s := newSupervisor(t, io.Discard)
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			_, ended, err := s.kids.start([]string{"/bin/sh", "-c", "exit " + strconv.Itoa(n)}, &syscall.ProcAttr{Env: os.Environ()})
			if err != nil {
				t.Error(err)
				return
			}
			if status := <-ended; status.ExitStatus() != n {
				t.Errorf("exit %d came as %d", n, status.ExitStatus())
			}
		})
	}
	wg.Wait()
	if _, _, err := s.kids.start([]string{"/no/such"}, &syscall.ProcAttr{}); err == nil {
		t.Error("a program that is not there was started")
	}
	s.kids.mu.Lock()
	defer s.kids.mu.Unlock()
	if len(s.kids.waiting) > 0 {
		t.Errorf("%d are still waited for", len(s.kids.waiting))
	}
}

func TestJupyterArgv(t *testing.T) {
	bin := t.TempDir()
	b := box{User: alice, Work: "/home/alice/work", Shell: "/bin/bash", Env: []string{"PATH=" + bin}}
	install := func(name string) string {
		path := filepath.Join(bin, name)
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if argv := jupyterArgv(b); argv[0] != "" {
		t.Errorf("nothing is installed, but %q", argv)
	}
	for _, name := range []string{"python3", "jupyter-notebook", "jupyter-lab"} { // each is better than those before
		path := install(name)
		argv := jupyterArgv(b)
		all := strings.Join(argv, " ")
		if argv[0] != path || !strings.Contains(all, "--ip=127.0.0.1") || !strings.Contains(all, "root_dir=/home/alice/work") || strings.Contains(all, "--allow-root") {
			t.Errorf("%s: %q", name, argv)
		}
	}
	b.User = masu.User{Name: "root"}
	if !strings.Contains(strings.Join(jupyterArgv(b), " "), " --allow-root") {
		t.Error("root's Jupyter will refuse to start")
	}
}

func TestFindCommand(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/run": 0o755, "a/plain": 0o644, "b/run": 0o755, "b/plain": 0o755, "b/only": 0o600} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := dir + "/a::" + dir + "/b:/no/such"
	for _, c := range []struct{ name, want, code string }{
		{"run", "a/run", ""}, {"plain", "b/plain", ""}, {"only", "", "126"}, {"none", "", "127"}, {"", "", "127"},
		{dir + "/a/run", "a/run", ""}, {"a/run", "a/run", ""}, {"./a/plain", "", "126"}, {"a", "", "127"}, {"./a", "", "126"}, {"/no/such/x", "", "127"},
	} {
		got := findCommand(c.name, path, dir)
		want := command{}
		if want.code, _ = strconv.Atoi(c.code); c.want != "" {
			want.path = filepath.Join(dir, c.want)
		}
		if got != want {
			t.Errorf("%q: %+v, want %+v", c.name, got, want)
		}
	}
}
