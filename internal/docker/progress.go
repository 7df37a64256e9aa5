package docker

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// maxLine bounds a line of output that never ends.
const maxLine = 16 << 10

// step is what is known of one step of a build.
type step struct {
	number    string // in the order of appearance
	name      string
	state     masu.ProgressState
	err       string
	partial   []byte              // the beginning of a line
	transfers map[string]transfer // by their ID
	moved     [2]masu.Bytes       // current and total, as last told
	full      bool                // it complained of a full disk
}

// steps turns the builder's traces into progress.
type steps struct {
	tell    func(masu.Progress)
	all     map[string]*step // by the vertex's digest
	ordered []*step
}

func newSteps(tell func(masu.Progress)) *steps {
	if tell == nil {
		tell = func(masu.Progress) {}
	}
	return &steps{tell: tell, all: map[string]*step{}}
}

func (s *steps) get(digest string) *step {
	st, ok := s.all[digest]
	if !ok {
		st = &step{number: strconv.Itoa(len(s.all) + 1), transfers: map[string]transfer{}}
		s.all[digest] = st
		s.ordered = append(s.ordered, st)
	}
	return st
}

// take passes on what is new in a trace. Output comes before the end of its step.
func (s *steps) take(t trace) {
	for _, v := range t.vertices {
		st := s.get(v.digest)
		st.name = v.name
		if st.state == "" {
			s.change(st, masu.StepQueued)
		}
		if v.started && !v.cached {
			s.change(st, masu.StepRunning)
		}
	}
	for _, o := range t.outputs {
		s.print(s.get(o.vertex), o.text)
	}
	for _, m := range t.transfers {
		s.move(s.get(m.vertex), m)
	}
	for _, v := range t.vertices {
		st := s.get(v.digest)
		switch {
		case v.err != "":
			st.err = v.err
			s.flush(st)
			s.change(st, masu.StepFailed)
		case v.cached:
			s.change(st, masu.StepCached)
		case v.completed:
			s.flush(st)
			s.change(st, masu.StepDone)
		}
	}
}

// rank orders the states: a step never goes back.
func rank(p masu.ProgressState) int {
	return slices.Index([]masu.ProgressState{"", masu.StepQueued, masu.StepRunning, masu.StepDone, masu.StepCached, masu.StepFailed}, p)
}

func (s *steps) change(st *step, to masu.ProgressState) {
	if rank(to) <= rank(st.state) {
		return
	}
	st.state = to
	s.say(masu.Progress{Step: st.number, Name: st.name, State: to})
}

func (s *steps) print(st *step, text []byte) {
	st.partial = append(st.partial, text...)
	for {
		i := bytes.IndexByte(st.partial, '\n')
		if i < 0 && len(st.partial) < maxLine {
			return
		}
		if i < 0 {
			i = len(st.partial) - 1
		}
		s.line(st, st.partial[:i])
		st.partial = st.partial[i+1:]
	}
}

func (s *steps) flush(st *step) {
	if len(st.partial) > 0 {
		s.line(st, st.partial)
		st.partial = nil
	}
}

// line passes on what a terminal would show at the end: after a carriage
// return a line is written over.
func (s *steps) line(st *step, b []byte) {
	b = bytes.TrimRight(b, "\r")
	if i := bytes.LastIndexByte(b, '\r'); i >= 0 {
		b = b[i+1:]
	}
	st.full = st.full || bytes.Contains(b, []byte("No space left on device"))
	s.say(masu.Progress{Step: st.number, Name: st.name, State: st.state, Line: strings.ToValidUTF8(string(b), "\uFFFD")})
}

// move folds the parts of a step to one sum.
func (s *steps) move(st *step, m transfer) {
	if m.total == 0 && m.current == 0 {
		return
	}
	st.transfers[m.id] = m
	var now [2]masu.Bytes
	for _, t := range st.transfers {
		now[0] += t.current
		now[1] += max(t.total, t.current)
	}
	if now != st.moved {
		st.moved = now
		s.say(masu.Progress{Step: st.number, Name: st.name, State: st.state, Current: now[0], Total: now[1]})
	}
}

func (s *steps) say(p masu.Progress) {
	p.At = time.Now()
	s.tell(p)
}

// failed gives the step that failed first by itself, nil if none did.
func (s *steps) failed() *step {
	for _, st := range s.ordered {
		if st.err != "" && !strings.Contains(st.err, "context canceled") {
			return st
		}
	}
	return nil
}

// diskFull tells whether the step that failed had no room: a program in it only has an exit code to say so.
func (s *steps) diskFull() bool {
	st := s.failed()
	return st != nil && st.full
}

var (
	stepName   = regexp.MustCompile(`^\[(?:\S+ )?(\d+)/\d+\] (.*)$`) // "[stage-1 2/5] RUN make"
	exitStatus = regexp.MustCompile(`exit code: (\d+)`)
	baseName   = regexp.MustCompile(`^\[internal\] load metadata for (\S+)`)
	frontend   = regexp.MustCompile(`^resolve image config for (?:docker-image://)?(\S+)`)
	parseError = regexp.MustCompile(`(?i)dockerfile parse error(?: on)? line (\d+): (.*)`)
	wrapping   = regexp.MustCompile(`^(?:failed to solve(?: with frontend [^:]+)?|failed to (?:create LLB definition|build LLB|read dockerfile)|rpc error: code = \w+ desc =):? `)
)

// buildTrouble says what stopped a build, from the step that failed and the engine's last words.
func (s *steps) buildTrouble(text string) *masu.Error {
	st := s.failed()
	if st != nil {
		if m := baseName.FindStringSubmatch(st.name); m != nil {
			return masu.E(masu.NotFound, "no_image", familiar(m[1]))
		}
		if m := frontend.FindStringSubmatch(st.name); m != nil {
			return masu.E(masu.Invalid, "dockerfile_frontend", familiar(m[1]))
		}
	}
	if m := parseError.FindStringSubmatch(text); m != nil {
		return masu.E(masu.Invalid, "dockerfile_invalid", m[1], m[2])
	}
	if st == nil {
		return masu.E(masu.Invalid, "build_refused", unwrapped(text))
	}
	number, name := st.number, st.name
	if m := stepName.FindStringSubmatch(st.name); m != nil {
		number, name = m[1], m[2]
	}
	for _, words := range []string{text, st.err} {
		if m := exitStatus.FindStringSubmatch(words); m != nil {
			return masu.E(masu.Invalid, "build_failed", number, name, m[1])
		}
	}
	return masu.E(masu.Invalid, "build_step_refused", number, name, unwrapped(st.err))
}

// unwrapped is the engine's sentence without the layers of its program that it went through.
func unwrapped(text string) string {
	for {
		at := wrapping.FindStringIndex(text)
		if at == nil {
			return text
		}
		text = text[at[1]:]
	}
}

// familiar is a reference as people write it.
func familiar(ref string) string {
	ref = strings.TrimPrefix(ref, "docker.io/")
	return strings.TrimPrefix(ref, "library/")
}
