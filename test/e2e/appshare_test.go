package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const sharedApp = `preset: python
apps:
  - jupyter
  - {name: board, command: ./server, port: 3100}
  - {name: other, command: ./server, port: 3200}
env: {KEY: 'geheim'}
`

// TestAppShare: alice shares one app with bob. He opens that and nothing else of her
// workspace, carol opens nothing, and what he has open ends within five seconds when
// it is taken back, or when the app becomes another. Where the admin lets members,
// everybody opens it, until the admin does not.
func TestAppShare(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.member("e2ebob")
	l.member("e2ecarol")
	dir := l.folder(alice, "denshi", map[string]string{"masu.yaml": sharedApp})
	l.goServer(alice, dir)
	l.must("e2ealice", "up", "--no-check", dir)
	l.stands("board", "ready", "")
	l.stands("other", "ready", "")
	hers, his, carols := l.visitor("e2ealice"), l.visitor("e2ebob"), l.visitor("e2ecarol")
	other := hers.opens("other", "a page by Go")

	const theirs = "/open/denshi--e2ealice/"
	if code, _ := his.get(his.pages + theirs + "board"); code != http.StatusNotFound {
		t.Errorf("not shared yet, and he opens it: %d", code)
	}
	if r := l.as("e2ealice", "app", "share", "-w", "denshi", "--yes", "board", "--lab"); r.code != 4 || !strings.Contains(r.errOut, "named colleagues") {
		t.Errorf("shared with the lab: %d %q", r.code, r.errOut)
	}
	l.must("e2ealice", "app", "share", "-w", "denshi", "--yes", "board", "e2ebob")
	board := his.enters(theirs+"board", "board", "a page by Go")
	if got := his.echo(board); got != "こだま" {
		t.Errorf("it echoes %q", got)
	}
	l.nothingBeside(his, board, other)
	if code, _ := carols.get(carols.pages + theirs + "board"); code != http.StatusNotFound {
		t.Errorf("a stranger opens it: %d", code)
	}
	if got := carols.echo(board); got != "401 Unauthorized" {
		t.Errorf("its WebSocket says %q to a stranger", got)
	}

	ended := his.keeps(board)
	l.must("e2ealice", "app", "unshare", "-w", "denshi", "board", "e2ebob")
	ended("it is taken back")
	if code, _ := his.get(his.pages + theirs + "board"); code != http.StatusNotFound || his.echo(board) != "401 Unauthorized" {
		t.Errorf("taken back, and he opens it: %d", code)
	}
	if code, text := his.get(board + "/"); code != http.StatusUnauthorized || strings.Contains(text, "a page by") {
		t.Errorf("taken back, and he has its page: %d", code)
	}

	l.must("e2ealice", "app", "share", "-w", "denshi", "--yes", "board", "e2ebob")
	his.enters(theirs+"board", "board", "a page by Go")
	ended = his.keeps(board)
	l.must("e2ealice", "app", "add", "-w", "denshi", "--port", "3100", "board", "./server --other")
	ended("it is another program")
	l.stands("board", "ready", "")
	if code, _ := his.get(his.pages + theirs + "board"); code != http.StatusNotFound {
		t.Errorf("another program is shared: %d", code)
	}

	l.must("root", "admin", "rules", "--share-apps", "lab")
	if r := l.as("e2ealice", "app", "share", "-w", "denshi", "--yes", "jupyter", "--lab"); r.code != 4 || !strings.Contains(r.errOut, "run commands as you") {
		t.Errorf("a terminal for everybody: %d %q", r.code, r.errOut)
	}
	l.must("e2ealice", "app", "share", "-w", "denshi", "--yes", "board", "--lab")
	carols.enters(theirs+"board", "board", "a page by Go")
	ended = carols.keeps(board)
	l.must("root", "admin", "rules", "--share-apps", "colleagues")
	ended("the admin does not let them")
	if got := carols.echo(board); got != "401 Unauthorized" {
		t.Errorf("its WebSocket says %q", got)
	}

	log := l.must("root", "audit")
	for _, want := range []string{"app share\tdenshi--e2ealice board e2ebob", "app unshare\tdenshi--e2ealice board e2ebob", "app share\tdenshi--e2ealice board (lab)", "e2ebob\tweb\topen\tdenshi--e2ealice"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

// nothingBeside: with whom an app was shared has no other app, no file, no log, no shell and no port, by any door.
func (l *lab) nothingBeside(his *visitor, board, other string) {
	l.t.Helper()
	for _, app := range []string{"other", "jupyter"} {
		if code, _ := his.get(his.pages + "/open/denshi--e2ealice/" + app); code != http.StatusNotFound {
			l.t.Errorf("he opens %s: %d", app, code)
		}
	}
	if code, text := his.get(other + "/"); code != http.StatusUnauthorized || strings.Contains(text, "a page by") {
		l.t.Errorf("he has the other app: %d", code)
	}
	if got := his.withCookiesOf(board).echo(other); got != "404 Not Found" {
		l.t.Errorf("the other app's WebSocket says %q to his cookie", got)
	}
	if code, text := his.get(his.pages + "/w/denshi--e2ealice"); code != http.StatusOK || strings.Contains(text, "geheim") || strings.Contains(text, "other") || strings.Contains(text, "./server") {
		l.t.Errorf("his page of it: %d %s", code, text)
	}
	if code, text := his.get(his.pages + "/w/denshi--e2ealice/log"); text != "" {
		l.t.Errorf("he has the log: %d %s", code, text)
	}
	const hers = "e2ealice/denshi"
	for _, args := range [][]string{{"exec", hers, "--", "id"}, {"logs", hers}, {"shell", hers}, {"stop", hers}, {"cp", hers + ":work/masu.yaml", "."}, {"app", "log", "board", "-w", hers},
		{"app", "stop", "board", "-w", hers}, {"app", "share", "--yes", "-w", hers, "board", "e2ecarol"}, {"guest", "add", "--yes", hers, "e2ecarol"}, {"image", "sbom", hers}, {"share", hers}} {
		if r := l.as("e2ebob", args...); r.code == 0 || strings.Contains(r.out+r.errOut, "geheim") {
			l.t.Errorf("he may masu %v: %q", args, r.out)
		}
	}
	if out := l.must("e2ebob", "ls", "--json"); strings.Contains(out, "geheim") || strings.Contains(out, "./server") || strings.Contains(out, "other") || !strings.Contains(out, `"part": true`) {
		l.t.Errorf("his list: %s", out)
	}
}

// withCookiesOf is the visitor's browser as if all apps were at one origin's name.
func (v *visitor) withCookiesOf(origin string) *visitor {
	v.t.Helper()
	q, err := http.NewRequest(http.MethodGet, origin+"/", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return &visitor{v.t, v.pages, &http.Client{Transport: carries{v.client.Jar.Cookies(q.URL)}}, nil}
}

// carries sends some cookies wherever it goes.
type carries struct{ cookies []*http.Cookie }

// RoundTrip is http.RoundTripper's.
func (c carries) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, k := range c.cookies {
		r.AddCookie(k)
	}
	return (&http.Transport{DialContext: hereAlone}).RoundTrip(r)
}

// keeps holds a WebSocket open; what it gives waits until that has ended, five seconds at most.
func (v *visitor) keeps(origin string) (ended func(why string)) {
	v.t.Helper()
	c, _, err := websocket.Dial(v.t.Context(), strings.Replace(origin, "http://", "ws://", 1)+"/echo", &websocket.DialOptions{HTTPClient: v.client, HTTPHeader: http.Header{"Origin": {origin}}})
	if err != nil {
		v.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { // ends with the connection, or with the test
		defer close(over)
		_, _, _ = c.Read(v.t.Context())
	}()
	return func(why string) {
		v.t.Helper()
		ctx, cancel := context.WithTimeout(v.t.Context(), 5*time.Second)
		defer cancel()
		select {
		case <-over:
		case <-ctx.Done():
			v.t.Errorf("%s, and after five seconds the WebSocket is still open", why)
		}
		_ = c.CloseNow()
	}
}
