package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/coder/websocket"

	"github.com/masu-lab/masu"
)

// echoes has every box answer WebSockets with what it is sent.
func (g *rig) echoes() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, m, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, m) != nil {
				return
			}
		}
	}))
	g.t.Cleanup(app.Close)
	g.lab.app = app.Listener.Addr().String()
}

// socket opens a WebSocket into alice's workspace, as the browser that has signed in there.
func (b *browser) socket(key string) *websocket.Conn {
	b.t.Helper()
	enter := b.get("/open/" + key).Header.Get("Location")
	if a := b.get(enter); len(a.Cookies()) != 1 {
		b.t.Fatalf("no cookie of the app's: %s", a.Status)
	}
	u := &url.URL{Scheme: "http", Host: "thesis--alice.localhost:" + b.port}
	ws, _, err := websocket.Dial(b.t.Context(), "ws://"+u.Host+"/terminals/websocket/1", &websocket.DialOptions{
		HTTPHeader: http.Header{"Cookie": {b.client.Jar.Cookies(u)[0].String()}, "Origin": {u.String()}},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", b.addr)
		}}}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = ws.CloseNow() })
	if !echoed(b.t.Context(), ws) {
		b.t.Fatal("the socket is silent")
	}
	return ws
}

func echoed(ctx context.Context, ws *websocket.Conn) bool {
	if ws.Write(ctx, websocket.MessageText, []byte("x")) != nil {
		return false
	}
	_, m, err := ws.Read(ctx)
	return err == nil && string(m) == "x"
}

// TestSocketsOfTheDemoted: an admin who is one no more loses what they have
// open at others', whether masu took it from them or a group of the host did.
// They stay signed in, and nobody else notices.
func TestSocketsOfTheDemoted(t *testing.T) {
	for name, learns := range map[string]func(*rig){
		"told":  func(g *rig) { g.gate.ended <- masu.Ending{Member: "boss"} },
		"asked": func(g *rig) { g.server.askAgain(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.echoes()
			g.lab.set(running("alice", "thesis"))
			boss, alice := g.browser(), g.browser()
			boss.signIn("boss")
			alice.signIn("alice")
			cut, stays := boss.socket("thesis--alice"), alice.socket("thesis")
			g.server.askAgain(t.Context())
			if !echoed(t.Context(), cut) {
				t.Fatal("asking cuts who is still an admin")
			}
			g.gate.mu.Lock()
			g.gate.shorn = true
			g.gate.mu.Unlock()
			learns(g)
			if _, _, err := cut.Read(t.Context()); err == nil {
				t.Error("something came of a socket that nobody wrote to")
			}
			if !echoed(t.Context(), stays) {
				t.Error("alice is cut as well")
			}
			if a := boss.get("/settings"); a.StatusCode != http.StatusOK {
				t.Errorf("who is demoted is signed out: %s", a.Status)
			}
			if a := boss.get("http://thesis--alice.localhost:"+g.port+"/lab", "Accept", "*/*"); a.StatusCode == http.StatusOK {
				t.Error("who is demoted gets in again")
			}
		})
	}
}

// TestNothingIsHeld: what has ended is asked about no more.
func TestNothingIsHeld(t *testing.T) {
	g := newRig(t)
	g.echoes()
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.signIn("alice")
	_ = b.socket("thesis").CloseNow()
	eventually(t, "nothing is held", func() bool {
		g.server.live.mu.Lock()
		defer g.server.live.mu.Unlock()
		return len(g.server.live.open) == 0
	})
}

func TestLess(t *testing.T) {
	was := masu.User{Name: "bob", UID: 7, Role: masu.RoleTeacher}
	for _, c := range []struct {
		now  masu.User
		want bool
	}{
		{was, false},
		{masu.User{Name: "bob", UID: 7, Role: masu.RoleAdmin, Admin: true}, false},
		{masu.User{Name: "bob", UID: 7}, true},
		{masu.User{Name: "bob", UID: 8, Role: masu.RoleTeacher}, true},
		{masu.User{Name: "eve", UID: 7, Role: masu.RoleTeacher}, true},
	} {
		if got := less(c.now, was); got != c.want {
			t.Errorf("%+v: %v", c.now, got)
		}
	}
}
