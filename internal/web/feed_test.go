package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestFeed: a calendar reads the timetable by an address that its owner made on
// the page, and nothing else by it.
func TestFeed(t *testing.T) {
	g := newRig(t)
	g.lab.measured = fullBoard()
	b := g.browser()
	b.signIn("alice")
	if a := b.get("/gpus"); !strings.Contains(a.text, `action="/gpus/feed"`) || strings.Contains(a.text, "/calendar/") {
		t.Error("the timetable has no way to an address, or shows one that nobody made")
	}
	a := b.post("/gpus/feed", nil)
	_, rest, found := strings.Cut(a.text, "http://localhost:"+g.port+"/calendar/")
	secret, _, ends := strings.Cut(rest, ".ics")
	if a.StatusCode != http.StatusOK || !found || !ends {
		t.Fatalf("an address is made: %s", a.Status)
	}
	list, err := g.lab.As(masu.Actor{User: g.gate.user("alice")}).Tokens(t.Context())
	if err != nil || len(list) != 1 || list[0].Scope != masu.ScopeCalendar || time.Until(list[0].Expires) < 9*365*24*time.Hour {
		t.Fatalf("it is %+v, %v", list, err)
	}
	if a := b.get("/gpus"); strings.Contains(a.text, secret) || !strings.Contains(a.text, `value="`+list[0].ID+`"`) {
		t.Error("the address is shown twice, or cannot be ended")
	}
	g.gate.feeds = map[string]masu.Username{secret: "alice"}
	stranger := g.browser()
	feed := stranger.get("/calendar/" + secret + ".ics")
	if feed.StatusCode != http.StatusOK || !strings.HasPrefix(feed.text, "BEGIN:VCALENDAR\r\n") || !strings.Contains(feed.text, "BEGIN:VEVENT") ||
		!strings.HasPrefix(feed.Header.Get("Content-Type"), "text/calendar") || len(feed.Cookies()) != 0 {
		t.Errorf("a calendar gets %s %.80q", feed.Status, feed.text)
	}
	for _, path := range []string{"/calendar/" + secret, "/calendar/x.ics", "/calendar/.ics", "/gpus.ics?token=" + secret} {
		if a := stranger.get(path); a.StatusCode < 300 || strings.Contains(a.text, "VCALENDAR") {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/gpus", "/", "/settings"} { // it signs nobody in
		if a := stranger.get(path); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/signin") {
			t.Errorf("%s with a feed's address: %s", path, a.Status)
		}
	}
	if a := b.post("/gpus/feed/end", url.Values{"id": {list[0].ID}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("it ends: %s", a.Status)
	}
	if list, _ := g.lab.As(masu.Actor{User: g.gate.user("alice")}).Tokens(t.Context()); len(list) != 0 {
		t.Errorf("it has ended, and is %+v", list)
	}
	if strings.Contains(g.log.String(), secret) {
		t.Error("the address is in the log")
	}
}
