package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const ownApps = `preset: python
apt: [nodejs]
apps:
  - jupyter
  - {name: goapp, command: ./server, port: 3100, start: visit}
  - {name: board, command: node server.js, port: 3200}
  - {name: slow, command: exec python3 slow.py, port: 3600, health: /ok}
  - {name: broken, command: echo no such card >&2; exit 3, port: 3500}
env: {KEPT: 'yes'}
`

// TestApps: a member's own programs, in Go, Node and Python, are apps of her
// workspace: pages, WebSockets and streams pass, each begins when it should, and
// nobody else has any of it. More come and go while the box runs.
func TestApps(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.member("e2ebob")
	dir := l.folder(alice, "denshi", map[string]string{"masu.yaml": ownApps,
		"server.js": program(t, "server.js"), "slow.py": program(t, "slow.py"), "tb": program(t, "tensorboard"), "out/logs/loss.txt": "falling"})
	l.goServer(alice, dir)
	l.must("e2ealice", "up", "--no-check", dir) // Jupyter is there, whatever became of the others
	id := l.only("e2ealice").ID
	box := func() string {
		return docker(t, "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", "masu-"+id)
	}
	first := box()
	hers := l.visitor("e2ealice")

	l.stands("goapp", "rests", "")
	l.stands("board", "ready", "")
	l.stands("broken", "fails", "no such card")
	if r := l.as("e2ealice", "app", "start", "broken", "-w", "denshi"); r.code == 0 || !strings.Contains(r.errOut, "no such card") {
		t.Errorf("starting what fails: %d %q", r.code, r.errOut)
	}
	l.stands("slow", "starts", "")
	if err := os.WriteFile(filepath.Join(dir, "well"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l.stands("slow", "ready", "")

	for app, page := range map[string]string{"goapp": "a page by Go", "board": "a page by Node"} {
		origin := hers.opens(app, page)
		if got := hers.echo(origin); got != "こだま" {
			t.Errorf("%s echoes %q", app, got)
		}
		if got := hers.event(origin); got != "data: first\n" {
			t.Errorf("%s streams %q", app, got)
		}
	}
	l.stands("goapp", "ready", "")
	if out := l.must("e2ealice", "app", "log", "goapp", "-w", "denshi"); out != "goapp listens on 127.0.0.1:3100\n" {
		t.Errorf("goapp has printed %q", out)
	}

	l.comeAndGo(dir, hers)
	l.must("e2ealice", "exec", "denshi", "--", "sh", "-c", "mkdir -p ~/.local/bin && install -m 755 ~/work/tb ~/.local/bin/tensorboard")
	l.must("e2ealice", "app", "add", "-w", "denshi", "--logs", "out/logs", "tensorboard")
	l.stands("tensorboard", "ready", "")
	hers.opens("tensorboard", "loss.txt")
	l.must("e2ealice", "exec", "denshi", "--", "sh", "-c", "python3 -m http.server --bind 0.0.0.0 3400 >/dev/null 2>&1 &")
	l.stands("p3400", "ready", "")
	hers.opens("p3400", "server.js")
	l.keeps("p3400")
	if now := box(); now != first {
		t.Errorf("the box was %s and is %s", first, now)
	}
	l.shutsOut(hers)
}

// keeps: what was begun by hand tells its owner how, becomes an app by that, and goes on meanwhile.
func (l *lab) keeps(port string) {
	l.t.Helper()
	begun := l.apps()[port]
	if !strings.HasSuffix(begun.Command, "python3 -m http.server --bind 0.0.0.0 3400") {
		l.t.Errorf("it was begun by %q", begun.Command)
	}
	l.must("e2ealice", "app", "add", "-w", "denshi", "--port", strconv.Itoa(begun.Port), "files", begun.Command)
	l.stands("files", "ready", "")
	if _, still := l.apps()[port]; still {
		l.t.Errorf("%s is still offered beside the app that it is", port)
	}
	if out := l.must("e2ealice", "app", "log", "files", "-w", "denshi"); out != "" {
		l.t.Errorf("it was begun a second time: %q", out)
	}
}

// comeAndGo: an app comes while the box runs, ends, begins and goes.
func (l *lab) comeAndGo(dir string, hers *visitor) {
	l.t.Helper()
	written := func() string {
		b, err := os.ReadFile(filepath.Join(dir, "masu.yaml"))
		if err != nil {
			l.t.Fatal(err)
		}
		return string(b)
	}
	before := written()
	for _, bad := range [][]string{{"--port", "80", "extra", "true"}, {"--port", "3100", "extra", "true"}, {"--port", "3300", "--idle", "30s", "extra", "true"}, {"--port", "3300", "p3300", "true"}, {"--port", "3300", "jupyter", "true"}, {"extra", "true"}} {
		if r := l.as("e2ealice", append([]string{"app", "add", "-w", "denshi"}, bad...)...); r.code == 0 || written() != before {
			l.t.Errorf("app add %q: %d %q, and masu.yaml is\n%s", bad, r.code, r.errOut, written())
		}
	}
	l.must("e2ealice", "app", "add", "-w", "denshi", "--port", "3300", "extra", "echo at $PORT; exec python3 -m http.server --bind $HOST $PORT")
	if text := written(); !strings.Contains(text, "name: extra") || !strings.Contains(text, "\nenv: {KEPT") {
		l.t.Errorf("masu.yaml is\n%s", text)
	}
	l.stands("extra", "ready", "")
	hers.opens("extra", "server.js")
	if out := l.must("e2ealice", "app", "log", "extra", "-w", "denshi"); !strings.Contains(out, "at 3300\n") || !strings.Contains(out, "GET /") {
		l.t.Errorf("extra has printed %q", out)
	}
	l.must("e2ealice", "app", "stop", "extra", "-w", "denshi")
	l.stands("extra", "rests", "")
	if r := l.as("e2ealice", "exec", "denshi", "--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/3300"); r.code == 0 {
		l.t.Error("stopped, and it listens")
	}
	l.must("e2ealice", "app", "start", "extra", "-w", "denshi")
	l.stands("extra", "ready", "")
	l.must("e2ealice", "app", "rm", "extra", "-w", "denshi")
	l.until(20*time.Second, "it is gone", func() bool { _, has := l.apps()["extra"]; return !has })
	if strings.Contains(written(), "extra") {
		l.t.Errorf("masu.yaml is\n%s", written())
	}
}

// shutsOut: another member has neither pages, nor WebSockets, nor what is
// printed, nor a way to change anything.
func (l *lab) shutsOut(hers *visitor) {
	l.t.Helper()
	his := l.visitor("e2ebob")
	for app, origin := range hers.origins {
		if code, text := his.get(origin + "/"); code != http.StatusUnauthorized || strings.Contains(text, "a page by") || strings.Contains(text, "server.js") {
			l.t.Errorf("he has %s: %d %s", app, code, text)
		}
		if code, _ := his.get(his.pages + "/open/denshi--e2ealice/" + app); code != http.StatusNotFound {
			l.t.Errorf("he opens %s: %d", app, code)
		}
		if got := his.echo(origin); got != "401 Unauthorized" {
			l.t.Errorf("the WebSocket of %s says %q to him", app, got)
		}
	}
	for _, verb := range [][]string{{"ls", "e2ealice/denshi"}, {"log", "board", "-w", "e2ealice/denshi"}, {"stop", "board", "-w", "e2ealice/denshi"}, {"rm", "board", "-w", "e2ealice/denshi"}, {"add", "-w", "e2ealice/denshi", "--port", "3700", "his", "id"}} {
		if r := l.as("e2ebob", append([]string{"app"}, verb...)...); r.code == 0 || strings.Contains(r.out, "listens on") {
			l.t.Errorf("he may app %v: %q", verb, r.out)
		}
	}
	l.stands("board", "ready", "")
}

// program is one of the members' programs in testdata.
func program(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "apps", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goServer builds a member's server into her folder.
func (l *lab) goServer(u *user.User, dir string) {
	l.t.Helper()
	server := filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", server, "./testdata/goapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		l.t.Fatalf("go build: %v: %s", err, out)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(server, uid, gid); err != nil {
		l.t.Fatal(err)
	}
}

type appState struct {
	Name, Error  string
	Command      string
	Port         int
	Ready, Rests bool
}

func (a appState) state() string {
	switch {
	case a.Ready:
		return "ready"
	case a.Rests:
		return "rests"
	case a.Error != "":
		return "fails"
	}
	return "starts"
}

// apps gives those of the member's workspace by their names.
func (l *lab) apps() map[string]appState {
	l.t.Helper()
	var list []appState
	if err := json.Unmarshal([]byte(l.must("e2ealice", "app", "ls", "--json", "denshi")), &list); err != nil {
		l.t.Fatal(err)
	}
	all := map[string]appState{}
	for _, a := range list {
		all[a.Name] = a
	}
	return all
}

// stands waits until an app is as wished, with words of its own.
func (l *lab) stands(app, state, words string) {
	l.t.Helper()
	l.until(20*time.Second, app+" "+state, func() bool {
		a, has := l.apps()[app]
		return has && a.state() == state && strings.Contains(a.Error, words)
	})
}

// visitor is a member's browser, as far as these tests need one.
type visitor struct {
	t       *testing.T
	pages   string
	client  *http.Client
	origins map[string]string // of the apps that were opened
}

// visitor signs a member in.
func (l *lab) visitor(who string) *visitor {
	l.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	v := &visitor{l.t, "http://localhost:" + strconv.Itoa(l.port), &http.Client{Jar: jar, Transport: &http.Transport{DialContext: hereAlone}}, map[string]string{}}
	if code, text := v.get(l.link(who)); code != http.StatusOK {
		l.t.Fatalf("%s signs in: %d %s", who, code, text)
	}
	return v
}

// hereAlone finds every name below localhost on this machine, as browsers do.
func hereAlone(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func (v *visitor) ask(ctx context.Context, address string) *http.Response {
	v.t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.client.Do(q)
	if err != nil {
		v.t.Fatal(err)
	}
	return res
}

func (v *visitor) get(address string) (int, string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	res := v.ask(ctx, address)
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// opens opens an app from masu's pages, and gives its origin.
func (v *visitor) opens(app, page string) string {
	v.t.Helper()
	return v.enters("/open/denshi/"+app, app, page)
}

// enters opens an app by an address of the pages, and gives its origin.
func (v *visitor) enters(path, app, page string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	res := v.ask(ctx, v.pages+path)
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	origin := res.Request.URL.Scheme + "://" + res.Request.URL.Host
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(text), page) || origin == v.pages {
		v.t.Fatalf("%s is at %s: %s, %v\n%s", app, res.Request.URL, res.Status, err, text)
	}
	v.origins[app] = origin
	return origin
}

// echo says a word to an app's WebSocket and gives what comes back, or how it is refused.
func (v *visitor) echo(origin string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	c, res, err := websocket.Dial(ctx, strings.Replace(origin, "http://", "ws://", 1)+"/echo", &websocket.DialOptions{HTTPClient: v.client, HTTPHeader: http.Header{"Origin": {origin}}})
	if err != nil {
		if res == nil {
			return err.Error()
		}
		return res.Status
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(ctx, websocket.MessageText, []byte("こだま")); err != nil {
		v.t.Error(err)
		return ""
	}
	_, got, err := c.Read(ctx)
	if err != nil {
		v.t.Error(err)
	}
	return string(got)
}

// event reads the first line of a stream that does not end.
func (v *visitor) event(origin string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	res := v.ask(ctx, origin+"/events")
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil {
		v.t.Error(err)
	}
	return line
}
