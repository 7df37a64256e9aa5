package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestHelperServer is the member's program of the tests below, not a test: it answers with its variables.
func TestHelperServer(t *testing.T) {
	if os.Getenv("MASU_APP") == "" {
		t.Skip("only as an app")
	}
	fmt.Println("helper begins")
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	t.Fatal(http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), nil))
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// testApps keeps apps until the test ends, and gives the agent's door.
func testApps(t *testing.T, wishes ...masu.AppWish) (*apps, *httptest.Server) {
	t.Helper()
	sup := newSupervisor(t, io.Discard)
	sup.box.Shell = "/bin/sh"
	sup.state.change(func(s *state) { s.received, s.asked = true, startOf(wishes) })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	a := newApps(ctx, wg.Go)
	a.received(sup, wishes)
	web := httptest.NewServer(handler(sup.state, newPasswords(sup.state), newOutputs(ctx, wg.Go), a, &gauges{}))
	t.Cleanup(func() {
		web.Close()
		cancel()
		wg.Wait()
	})
	return a, web
}

func helper(port int) masu.AppWish {
	return masu.AppWish{Name: "demo", Command: "exec " + os.Args[0] + " -test.run=^TestHelperServer$", Port: port}
}

func ask(t *testing.T, web *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, web.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestAppByVisit: an app that waits for a visit is started by one, sees its
// port, ends when nobody is there, and is started again.
func TestAppByVisit(t *testing.T) {
	w := helper(freePort(t))
	w.OnVisit, w.IdleFor = true, time.Hour
	a, web := testApps(t, w)
	if m, _ := a.sup.state.now(); !m.Ready || !m.Apps[0].Rests || !m.Apps[0].Own {
		t.Fatalf("before the visit: %+v", m)
	}
	for range 2 {
		if code, words := ask(t, web, "POST", "/v1/apps/demo/start", ""); code != 200 {
			t.Fatal(code, words)
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(w.Port)))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		a.idle(sockets, now)
		a.idle(sockets, now.Add(2*time.Hour)) // who is there keeps it awake
		if m, _ := a.sup.state.now(); m.Apps[0].Rests {
			t.Fatal("it ended under a visitor")
		}
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		said, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.Contains(string(said), fmt.Sprintf("\nPORT=%d\n", w.Port)) || !strings.Contains(string(said), "HOST=127.0.0.1") || !strings.Contains(string(said), "\nMASU_BASE_URL=/\n") {
			t.Fatalf("%v: %s", err, said)
		}
		a.idle(sockets, now.Add(2*time.Hour+59*time.Minute))
		if m, _ := a.sup.state.now(); m.Apps[0].Rests {
			t.Fatal("it ended before its time")
		}
		a.idle(func() []socket { return nil }, now.Add(4*time.Hour))
		await(t, a.sup.state, "it rests again", func(m masu.AgentStatus) bool { return m.Apps[0].Rests && !m.Apps[0].Ready && m.Apps[0].Error == "" })
	}
	if _, log := ask(t, web, "GET", "/v1/apps/demo/log", ""); strings.Count(log, "helper begins") != 2 {
		t.Errorf("the log: %q", log)
	}
}

// TestAppsComeAndGo: apps are added, changed and taken away while the box runs.
func TestAppsComeAndGo(t *testing.T) {
	a, web := testApps(t)
	port := freePort(t)
	text, err := helper(port).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if code, words := ask(t, web, "PUT", "/v1/apps/demo", string(text)); code != 200 {
		t.Fatal(code, words)
	}
	if code, words := ask(t, web, "POST", "/v1/apps/demo/start", ""); code != 200 {
		t.Fatal(code, words)
	}
	if code, _ := ask(t, web, "POST", "/v1/apps/demo/stop", ""); code != 200 || listensAt(port) {
		t.Error("it goes on although it was stopped", code)
	}
	if code, words := ask(t, web, "PUT", "/v1/apps/demo", fmt.Sprintf(`{"name":"demo","command":"echo no such data; exit 3","port":%d}`, port)); code != 200 {
		t.Fatal(code, words)
	}
	await(t, a.sup.state, "its failure is told", func(m masu.AgentStatus) bool {
		return m.Ready && m.Apps[0].Error == "demo ended with exit code 3\nno such data" // and keeps nobody out of the rest
	})
	if code, words := ask(t, web, "POST", "/v1/apps/demo/start", ""); code != http.StatusBadGateway || !strings.Contains(words, "no such data") {
		t.Errorf("who opens it is told %d %q", code, words)
	}
	if code, _ := ask(t, web, "DELETE", "/v1/apps/demo", ""); code != 200 {
		t.Error(code)
	}
	if m, _ := a.sup.state.now(); len(m.Apps) != 0 {
		t.Errorf("what was taken away is still there: %+v", m.Apps)
	}
	for _, c := range []struct{ method, path, body string }{
		{"DELETE", "/v1/apps/demo", ""}, {"POST", "/v1/apps/demo/stop", ""}, {"GET", "/v1/apps/demo/log", ""},
		{"PUT", "/v1/apps/demo", `{"name":"other","command":"x","port":8501}`}, {"PUT", "/v1/apps/demo", `{"name":"demo","command":"x","port":22}`},
		{"PUT", "/v1/apps/demo", `{"name":"demo","command":"x","port":7625}`}, {"PUT", "/v1/apps/demo", "nonsense"}, {"PUT", "/v1/apps/unknown", `"unknown"`},
	} {
		if code, words := ask(t, web, c.method, c.path, c.body); code < 400 {
			t.Errorf("%s %s %s was taken: %d %q", c.method, c.path, c.body, code, words)
		}
	}
}

// TestAppByHand: what a member began by hand stays, and is their app; when it ends, masu begins it.
func TestAppByHand(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	a, web := testApps(t, helper(port))
	await(t, a.sup.state, "what runs by hand is the app", func(m masu.AgentStatus) bool { return m.Apps[0].Ready })
	if _, log := ask(t, web, "GET", "/v1/apps/demo/log", ""); log != "" {
		t.Errorf("it was begun a second time: %q", log)
	}
	l.Close()
	await(t, a.sup.state, "it has ended", func(m masu.AgentStatus) bool { return !m.Apps[0].Ready })
	await(t, a.sup.state, "masu has begun it", func(m masu.AgentStatus) bool { return m.Apps[0].Ready })
	if _, log := ask(t, web, "GET", "/v1/apps/demo/log", ""); !strings.Contains(log, "helper begins") {
		t.Errorf("the log: %q", log)
	}
}

// TestAppThatIsSlow: who waits for an app that does not answer is told so with its last words, and it goes on.
func TestAppThatIsSlow(t *testing.T) {
	sup := newSupervisor(t, io.Discard)
	sup.patience = time.Millisecond
	port := freePort(t)
	answers := make(chan struct{})
	a := app{name: "demo", port: port, path: "/", argv: func(box) []string { return []string{"/bin/sh", "-c", "echo loads the model; exec sleep 1000"} }}
	sup.state.change(func(s *state) { s.received, s.asked = true, []masu.App{{Name: "demo", Port: port, Own: true}} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		sup.keep(ctx, a, io.Discard)
		close(done)
	}()
	await(t, sup.state, "it is slow", func(m masu.AgentStatus) bool {
		return m.Apps[0].State() == "slow" && strings.HasPrefix(m.Apps[0].Error, fmt.Sprintf("demo does not answer at port %d", port))
	})
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() {
		defer close(answers)
		_ = server.ListenAndServe() // ends when it is closed
	}()
	await(t, sup.state, "it answers at last", func(m masu.AgentStatus) bool { return m.Apps[0].State() == "ready" && m.Apps[0].Error == "" })
	cancel()
	<-done
	server.Close()
	<-answers
}

// TestAppStopsForAll: several who stop and start an app at once leave nothing of it behind.
func TestAppStopsForAll(t *testing.T) {
	w := helper(freePort(t))
	w.OnVisit = true
	a, web := testApps(t, w)
	if code, words := ask(t, web, "POST", "/v1/apps/demo/start", ""); code != 200 {
		t.Fatal(code, words)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				a.stop("demo")
				a.start("demo")
			}
		})
	}
	wg.Wait()
	a.stop("demo")
	if listensAt(w.Port) {
		t.Error("it goes on although it was stopped")
	}
}

func TestAppLog(t *testing.T) {
	var l appLog
	for i := range logKept/8 + 100 {
		fmt.Fprintf(&l, "%07d\n", i)
	}
	rec := httptest.NewRecorder()
	l.copy(t.Context(), rec, false)
	if got := rec.Body.String(); len(got) != logKept || !strings.HasSuffix(got, fmt.Sprintf("%07d\n", logKept/8+99)) {
		t.Errorf("%d bytes are kept, the last %q", len(got), got[len(got)-8:])
	}
}
