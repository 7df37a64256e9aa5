package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

const (
	tailLines  = 20                     // shown of a step that failed
	regionRows = 8                      // steps shown at once in the live region
	redraw     = 120 * time.Millisecond // of the live region
)

// progress shows a person how something long goes: on a terminal a small live
// region below the lines that are finished, elsewhere one line for each thing
// that happens.
type progress struct {
	a     *app
	quiet bool
	live  bool
	cols  int

	mu    sync.Mutex
	steps map[string]*step
	order []string // of the running steps
	drawn int      // rows of the live region on the screen
	broke *step    // the one that failed
	done  chan struct{}
	wait  sync.WaitGroup
	now   func() time.Time
}

type step struct {
	name    string
	begun   time.Time
	state   masu.ProgressState
	tail    []string
	current masu.Bytes
	total   masu.Bytes
}

// progress begins; end must be called.
func (a *app) progress(quiet bool) *progress {
	p := &progress{a: a, quiet: quiet, steps: map[string]*step{}, done: make(chan struct{}), now: time.Now}
	if f, tty := terminal(a.err); tty && !quiet && a.getenv("TERM") != "dumb" {
		p.live = true
		p.cols = 80
		if c, _, err := term.GetSize(int(f.Fd())); err == nil && c > 10 {
			p.cols = c
		}
		p.wait.Go(p.animate)
	}
	return p
}

func (p *progress) animate() {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}
}

// tell takes one event.
func (p *progress) tell(e masu.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Code != "" {
		if !p.quiet {
			p.say(text.Strings(p.a.lang, e.Code, e.Args))
		}
		return
	}
	s := p.steps[e.Step]
	if s == nil {
		s = &step{begun: p.now()}
		p.steps[e.Step] = s
	}
	if e.Name != "" {
		s.name = short(e.Name)
	}
	if e.Total > 0 || e.Current > 0 {
		s.current, s.total = e.Current, e.Total
	}
	if e.Line != "" {
		p.line(s, plain(e.Line))
	}
	if e.State != "" && e.State != s.state {
		p.turn(e.Step, s, e.State)
	}
}

var (
	mounts = regexp.MustCompile(`--mount=\S+\s+`)
	blanks = regexp.MustCompile(`\s+`)
)

// short leaves out of a step's name what tells people nothing.
func short(name string) string {
	return plain(blanks.ReplaceAllString(mounts.ReplaceAllString(name, ""), " "))
}

func (p *progress) line(s *step, line string) {
	s.tail = append(s.tail, line)
	if len(s.tail) > tailLines {
		s.tail = s.tail[1:]
	}
	if !p.live && !p.quiet {
		fmt.Fprintf(p.a.err, "  | %s\n", line)
	}
}

// turn brings a step to a new state.
func (p *progress) turn(id string, s *step, state masu.ProgressState) {
	s.state = state
	took := p.now().Sub(s.begun)
	switch state {
	case masu.StepRunning:
		s.begun = p.now()
		p.order = append(p.order, id)
		if !p.live && !p.quiet {
			fmt.Fprintf(p.a.err, "… %s\n", s.name)
		}
		return
	case masu.StepQueued:
		return
	}
	for i, o := range p.order {
		if o == id {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
	switch {
	case state == masu.StepFailed:
		p.broke = s
		p.mark("✗", "\x1b[31m", s.name)
	case p.quiet:
	case state == masu.StepCached:
		p.mark("✓", "\x1b[2m", s.name+"  "+p.a.say("step_cached"))
	default:
		p.mark("✓", "\x1b[32m", s.name+"  "+elapsed(took))
	}
}

func (p *progress) mark(sign, colour, line string) {
	if p.a.colourful(p.a.err) {
		sign = colour + sign + "\x1b[0m"
	}
	p.say(sign + " " + line)
}

// say writes a line that stays, above the live region.
func (p *progress) say(line string) {
	p.erase()
	fmt.Fprintln(p.a.err, line)
	p.draw()
}

func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.a.err, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

func (p *progress) draw() {
	if !p.live {
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.drawn)
	}
	p.drawn = 0
	for _, id := range p.order[max(0, len(p.order)-regionRows):] {
		s := p.steps[id]
		head := "… " + s.name + "  " + elapsed(p.now().Sub(s.begun))
		if s.total > 0 {
			head += fmt.Sprintf("  %s / %s", s.current, s.total)
		}
		b.WriteString(cut(head, p.cols-1) + "\n")
		p.drawn++
		if len(s.tail) > 0 {
			b.WriteString("\x1b[2m" + cut("    "+s.tail[len(s.tail)-1], p.cols-1) + "\x1b[0m\n")
			p.drawn++
		}
	}
	io.WriteString(p.a.err, b.String())
}

// end stops the animation. After a failure it shows the last lines of the step
// that failed, unless they have just been written anyway.
func (p *progress) end(failed bool) {
	close(p.done)
	p.wait.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.live = false
	if failed && p.broke != nil && len(p.broke.tail) > 0 && !p.streamed() {
		fmt.Fprintln(p.a.err, p.a.say("step_tail", p.broke.name))
		for _, line := range p.broke.tail {
			fmt.Fprintln(p.a.err, "  | "+line)
		}
	}
}

// streamed tells whether the lines of the steps were written as they came.
func (p *progress) streamed() bool {
	_, tty := terminal(p.a.err)
	return !p.quiet && (!tty || p.a.getenv("TERM") == "dumb")
}
