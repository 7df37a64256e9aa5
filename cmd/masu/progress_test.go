package main

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/masu-lab/masu"
)

// TestProgressOnATerminal: what is done stays, what runs is one small region
// that is gone in the end, and no line is wider than the terminal.
func TestProgressOnATerminal(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 10, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	a := newApp(nil, nil, tty, func(k string) string { return map[string]string{"NO_COLOR": "1", "TERM": "xterm"}[k] }, nil)
	p := a.progress(false)
	if !p.live || p.cols != 40 {
		t.Fatalf("live %v, %d columns", p.live, p.cols)
	}
	p.tell(masu.Progress{Step: "1", Name: "[1/2] FROM base", State: masu.StepRunning})
	p.tell(masu.Progress{Step: "1", State: masu.StepDone})
	p.tell(masu.Progress{Step: "2", Name: "[2/2] RUN " + strings.Repeat("枡", 40), State: masu.StepRunning})
	p.tell(masu.Progress{Step: "2", Line: "downloading"})
	draw := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.draw()
	}
	draw()
	draw()
	p.tell(masu.Progress{Code: "engine_runs"})
	draw()
	p.tell(masu.Progress{Step: "2", Line: "it broke"})
	p.tell(masu.Progress{Step: "2", Name: "[2/2] RUN x", State: masu.StepFailed})
	p.end(true)
	tty.Close()
	b, _ := io.ReadAll(master) // ends with EIO, as every terminal does
	got, most := screen(string(b))
	got = regexp.MustCompile(`\d+\.\d s`).ReplaceAllString(got, "TIME")
	want := `✓ [1/2] FROM base  TIME
The container engine runs.
✗ [2/2] RUN x
The last lines of [2/2] RUN x:
  | downloading
  | it broke
`
	if got != want {
		t.Errorf("the screen ends as\n%s\nwant\n%s", got, want)
	}
	if most > 39 {
		t.Errorf("a live line is %d columns wide, the terminal 40", most)
	}
}

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([A-Za-z])`)

// screen is as much of a terminal as progress uses: it gives what is to be seen
// at the end, and the width of the widest line that was ever there.
func screen(s string) (seen string, most int) {
	lines, row := []string{""}, 0
	for s != "" {
		if m := sequence.FindStringSubmatch(s); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch m[2] {
			case "A":
				row = max(0, row-n)
			case "J":
				lines = append(lines[:row], "")
			}
			s = s[len(m[0]):]
			continue
		}
		r := []rune(s)[0]
		s = s[len(string(r)):]
		switch r {
		case '\r':
		case '\n':
			most = max(most, columnsOf(lines[row]))
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
		default:
			lines[row] += string(r)
		}
	}
	return strings.Join(lines, "\n"), most
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.0 s", 1540 * time.Millisecond: "1.5 s", 61 * time.Second: "1:01", 90 * time.Minute: "90:00"} {
		if got := elapsed(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
