package web

import (
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestHouse: what an admin announces comes to pages that are open, with the time that is left.
func TestHouse(t *testing.T) {
	at := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	for closes, left := range map[time.Time]string{{}: "", at: "", at.Add(-time.Hour): "", at.Add(20 * time.Minute): "20 min", at.Add(90 * time.Minute): "1 h 30 min"} {
		if got := newHouse(masu.English, masu.House{ClosedAt: closes}, at).Left; got != left {
			t.Errorf("%v: %q left, not %q", closes, got, left)
		}
	}
	g := newRig(t)
	b := g.browser()
	if a := b.get("/house"); a.StatusCode != 401 && a.StatusCode != 303 {
		t.Errorf("nobody is told: %s", a.Status)
	}
	b.signIn("alice")
	if a := b.get("/"); !strings.Contains(a.text, `data-part="/house"`) {
		t.Error("the page does not ask again")
	}
	boss := g.lab.people.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	if err := boss.SetHouse(t.Context(), masu.House{Banner: "<b>Power cut", ClosedAt: time.Now().Add(30*time.Minute + 30*time.Second)}); err != nil {
		t.Fatal(err)
	}
	if a := b.get("/house"); a.StatusCode != 200 || !strings.Contains(a.text, "&lt;b&gt;Power cut") || !strings.Contains(a.text, "30 min left") {
		t.Errorf("%s %s", a.Status, a.text)
	}
}
