package agent

import (
	"bufio"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestSay: a message reaches whoever sits at a terminal, and nothing in it can
// make the terminal do anything; it does not count as somebody's typing.
func TestSay(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	defer master.Close()
	defer terminal.Close()
	dir := t.TempDir()
	if err := os.Symlink(terminal.Name(), filepath.Join(dir, "7")); err != nil { // a link is not followed
		t.Fatal(err)
	}
	typed := terminalActivity(filepath.Dir(terminal.Name()))
	post := func(terminals, text string) int {
		w := httptest.NewRecorder()
		say(terminals)(w, httptest.NewRequest("POST", "/v1/say", strings.NewReader(text)))
		return w.Code
	}
	if code := post(dir, "nobody reads this\n"); code != 204 {
		t.Errorf("answered %d", code)
	}
	if code := post(dir, strings.Repeat("x", sayMost+1)); code != 413 {
		t.Errorf("too much: answered %d", code)
	}
	only := filepath.Join(filepath.Dir(terminal.Name()))
	if code := post(only, "GPU は 18:00 に\x1b]0;owned\x07返却\x00されます\n続けるには masu extend\n"); code != 204 {
		t.Errorf("answered %d", code)
	}
	if err := master.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Log(err) // not every master can
	}
	r := bufio.NewReader(master)
	var got []string
	for range 3 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimRight(line, "\r\n"))
	}
	if want := []string{"\a", "GPU は 18:00 に]0;owned返却されます", "続けるには masu extend"}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the terminal shows %q, want %q", got, want)
	}
	if now := terminalActivity(only); now.After(typed.Add(time.Second)) {
		t.Errorf("the message counts as typing: %v, before %v", now, typed)
	}
}
