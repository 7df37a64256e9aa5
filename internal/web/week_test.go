package web

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestWeek places what is reserved and lent by the clock on the wall.
func TestWeek(t *testing.T) {
	monday := weekOf("2026-11-25", time.Now())
	at := func(day, hour int) time.Time { return monday.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour) }
	b := masu.Board{GPUs: []masu.BoardGPU{
		{GPU: masu.GPU{ID: "a", Index: 0}, Holds: []masu.Hold{{Member: "bob", Since: at(-1, 12), Until: at(0, 6)}}},
		{GPU: masu.GPU{ID: "b", Index: 1}}}}
	reserved := []masu.Reservation{{ID: "r", Holder: "alice", GPUs: []masu.GPUID{"b"}, From: at(3, 18), Until: at(4, 6), Note: "x"}, {ID: "s", Holder: "bob", GPUs: []masu.GPUID{"a", "b"}, From: at(6, 0), Until: at(7, 0)}}
	v := newWeek(masu.English, monday, b, reserved, "alice", false, at(0, 12)) // bob's time is over, and nobody waits
	if len(v.Days) != 7 || v.Monday != "2026-11-23" || v.Days[0].Now != 50 || v.Days[1].Now != 0 || !v.Days[0].Today || v.Days[1].Today {
		t.Fatalf("%+v", v)
	}
	for _, c := range []struct {
		day, lane int
		want      string
	}{
		{0, 0, "0 50 0:00–12:00"}, {1, 0, ""}, {2, 1, ""}, {3, 0, ""}, {3, 1, "75 25 18:00–24:00"}, {4, 1, "0 25 0:00–06:00"}, {6, 0, "0 100 0:00–24:00"}, {6, 1, "0 100 0:00–24:00"},
	} {
		got := ""
		for _, s := range v.Days[c.day].Lanes[c.lane].Slots {
			got += fmt.Sprint(s.At, " ", s.Wide, " ", s.Span)
		}
		if got != c.want {
			t.Errorf("day %d, lane %d: %q, want %q", c.day, c.lane, got, c.want)
		}
	}
	if e := v.List[0]; len(v.List) != 2 || e.When != "Thu 11/26 18:00–Fri 11/27 06:00" || e.GPUs != "GPU 1" || !e.Drop || v.List[1].Drop || v.List[1].GPUs != "GPU 0, 1" {
		t.Errorf("the list: %+v", v.List)
	}
	if says := v.Days[3].Lanes[1].Says; says != "GPU 1, Thu 11/26: 18:00–24:00 alice · x" {
		t.Errorf("a lane says %q", says)
	}
}

// drag presses, moves and lets go, as a mouse does.
func (c *chromium) drag(x1, y1, x2, y2 float64) {
	c.t.Helper()
	for _, e := range []struct {
		kind string
		x, y float64
	}{{"mousePressed", x1, y1}, {"mouseMoved", (x1 + x2) / 2, y1}, {"mouseMoved", x2, y2}, {"mouseReleased", x2, y2}} {
		c.call("Input.dispatchMouseEvent", map[string]any{"type": e.kind, "x": e.x, "y": e.y, "button": "left", "buttons": 1, "clickCount": 1}, nil)
	}
}

// middle is where a lane is at an hour, in the window.
func (c *chromium) middle(day, gpu int, hour float64) (x, y float64) {
	c.t.Helper()
	lane := fmt.Sprintf(`document.querySelectorAll(".week-day")[%d].querySelectorAll(".lane")[%d].getBoundingClientRect()`, day, gpu)
	x = c.eval(lane + ".left").(float64)
	return x + c.eval(lane+".width").(float64)*hour/24, c.eval(lane+".top").(float64) + 20
}

// filled is what stands in the form.
const filled = `(e => [e.count.value, (new Date(e.day.value).getDay() + 6) % 7, e.from.value, e.until.value].join(" "))(document.querySelector('form[action="/gpus/reserve"]').elements)`

// TestWeekInABrowser takes hours by the mouse, over days and cards, by the keyboard, and by a finger on a phone.
func TestWeekInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	aLab(g)
	c, axe := newChromium(t), axeScript(t)
	base := "http://localhost:" + g.port
	c.cookie(base, "masu_session", g.secret("alice"))
	c.size(1280)
	c.goTo(base + "/gpus")
	c.until(`!document.getElementById("week-how").hidden`)
	c.eval(`document.getElementById("week").scrollIntoView()`)
	x1, y1 := c.middle(1, 1, 9.2)
	x2, y2 := c.middle(1, 2, 17.4)
	c.drag(x1, y1, x2, y2)
	if got := c.eval(filled); got != "2 1 09:00 18:00" {
		t.Errorf("dragging over two cards fills in %v", got)
	}
	c.eval(`document.getElementById("week").scrollIntoView()`)
	x1, y1 = c.middle(4, 3, 3.5) // backwards, over midnight
	x2, _ = c.middle(3, 3, 20.5)
	c.drag(x1, y1, x2, y1)
	if got := c.eval(filled); got != "1 3 20:00 04:00" {
		t.Errorf("dragging over midnight fills in %v", got)
	}
	c.shoot("week-picked")
	press := func(key string, modifiers int) {
		for _, kind := range []string{"keyDown", "keyUp"} {
			c.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "modifiers": modifiers}, nil)
		}
	}
	c.eval(`document.getElementById("lanes").focus()`)
	const shift = 8
	press("PageUp", 0)
	press("ArrowRight", 0)
	press("ArrowRight", shift)
	press("ArrowUp", shift)
	want := "2 2 "
	if got := fmt.Sprint(c.eval(filled)); len(got) < 4 || got[:4] != want {
		t.Errorf("the arrow keys fill in %v", got)
	}
	press("Enter", 0)
	c.until(`document.activeElement.closest('form[action="/gpus/reserve"]')`)
	c.well("the timetable")

	c.size(390)
	c.goTo(base + "/gpus")
	c.until(`!document.getElementById("week-how").hidden`)
	c.eval(`document.querySelectorAll(".week-day")[6].scrollIntoView()`) // the days that are over are not shown
	x1, y1 = c.middle(6, 0, 10.1)
	x2, _ = c.middle(6, 0, 13.2)
	c.call("Emulation.setTouchEmulationEnabled", map[string]any{"enabled": true}, nil)
	point := func(x float64) []any { return []any{map[string]float64{"x": x, "y": y1}} }
	c.call("Input.dispatchTouchEvent", map[string]any{"type": "touchStart", "touchPoints": point(x1)}, nil)
	for i := 1.0; i <= 8; i++ {
		c.call("Input.dispatchTouchEvent", map[string]any{"type": "touchMove", "touchPoints": point(x1 + (x2-x1)*i/8)}, nil)
	}
	c.call("Input.dispatchTouchEvent", map[string]any{"type": "touchEnd", "touchPoints": []any{}}, nil)
	if got := c.eval(filled); got != "1 6 10:00 13:30" {
		t.Errorf("a finger fills in %v", got)
	}
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for width, scheme := range map[int]string{1280: "light", 1281: "dark", 390: "light", 360: "dark"} {
			c.size(width)
			c.scheme(scheme)
			c.goTo(base + "/gpus")
			shot := fmt.Sprintf("week-%s-%d-%s", lang, width, scheme)
			c.shoot(shot)
			c.axe(axe, shot)
			c.well(shot)
		}
	}
}
