package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestTerminal: the button stands on the card and the workspace's page, and leads to
// a terminal of whatever Jupyter there is.
func TestTerminal(t *testing.T) {
	g := newRig(t)
	w := running("alice", "thesis")
	w.Apps = append(w.Apps, masu.App{Name: "code", Port: 8443, Rests: true}, masu.App{Name: "p9000", Port: 9000})
	g.lab.set(w)
	var laid []byte
	status := http.StatusNoContent
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("_xsrf")
		if r.Method == http.MethodPut && r.URL.Path == "/lab/api/workspaces/terminal" && err == nil && c.Value == r.Header.Get("X-XSRFToken") {
			laid, _ = io.ReadAll(r.Body)
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(app.Close)
	g.lab.app = app.Listener.Addr().String()
	b := g.browser()
	b.signIn("alice")
	const link = `href="/w/thesis/app/jupyter?next=%2F_masu%2Fterminal"`
	for _, page := range []string{"/", "/w/thesis"} {
		if a := b.get(page); !strings.Contains(a.text, link) || !strings.Contains(a.text, `href="/w/thesis/app/code"`) {
			t.Errorf("%s has no way to a terminal, or to the editor", page)
		}
	}
	origin := "http://thesis--alice.localhost:" + g.port
	if at, _ := b.follow("/open/thesis?next=" + terminalPath); at != origin+"/lab/workspaces/terminal" {
		t.Errorf("with JupyterLab it ends at %s", at)
	}
	var layout struct {
		Metadata struct{ ID string }
		Data     map[string]json.RawMessage
	}
	if err := json.Unmarshal(laid, &layout); err != nil || layout.Metadata.ID != "terminal" || layout.Data["terminal:masu"] == nil {
		t.Errorf("JupyterLab is given %s: %v", laid, err)
	}
	status = http.StatusNotFound
	if at, _ := b.follow("/open/thesis?next=" + terminalPath); at != origin+"/terminals/masu" {
		t.Errorf("without it ends at %s", at)
	}
	// Another app has none, a stranger goes to sign in, and one that does not answer yet is waited for.
	if a := b.get("http://p9000--thesis--alice.localhost:" + g.port + terminalPath); a.StatusCode == http.StatusSeeOther && strings.Contains(a.Header.Get("Location"), "terminals") {
		t.Errorf("another app: %s %s", a.Status, a.Header.Get("Location"))
	}
	if a := g.browser().get(origin+terminalPath, "Accept", "text/html"); a.StatusCode != http.StatusSeeOther || !strings.Contains(a.Header.Get("Location"), "/open/thesis--alice/jupyter?next=") {
		t.Errorf("a stranger: %s %s", a.Status, a.Header.Get("Location"))
	}
	g.lab.dial = masu.E(masu.Unreachable, "port_silent", 8888)
	if a := b.get(origin+terminalPath, "Accept", "text/html"); a.StatusCode != http.StatusBadGateway || a.Header.Get("Refresh") == "" {
		t.Errorf("one that does not answer: %s", a.Status)
	}
}
