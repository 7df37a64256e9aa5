package web

import (
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestPlaceOnCard: who waits for GPUs sees on the card which place they have, and by when it is their turn.
func TestPlaceOnCard(t *testing.T) {
	l, err := newLooks()
	if err != nil {
		t.Fatal(err)
	}
	w := masu.Workspace{ID: "a", Owner: "alice", Name: "train", Label: "train--alice", Phase: masu.Waiting, ChangedAt: time.Now()}
	for _, c := range []struct {
		queue masu.Forecast
		says  string
	}{
		{masu.Forecast{Place: 2, Blocked: masu.WaitGPUs}, "Place 2 in the queue for GPUs."},
		{masu.Forecast{Place: 1, Blocked: masu.WaitGPUs, Expect: time.Date(2031, 5, 6, 7, 8, 0, 0, time.Local)}, "at the latest at 05-06 07:08"},
		{masu.Forecast{Place: 1, Blocked: masu.WaitMember}, "you hold as many GPUs as one member may"},
	} {
		w.Queue = c.queue
		html, err := l.render(masu.English, "card", newCard(masu.English, w, "alice"))
		if err != nil || !strings.Contains(string(html), c.says) {
			t.Errorf("%+v: %v\n%s", c.queue, err, html)
		}
	}
}
