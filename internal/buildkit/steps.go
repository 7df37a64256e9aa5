package buildkit

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
	transfers map[string]Transfer // by their ID
	moved     [2]masu.Bytes       // current and total, as last told
	full      bool                // it complained of a full disk
}

// Steps turns a builder's traces into progress.
type Steps struct {
	tell    func(masu.Progress)
	all     map[string]*step // by the vertex's digest
	ordered []*step
}

// NewSteps passes what it makes of a build's traces to tell; nil if nobody wants it.
func NewSteps(tell func(masu.Progress)) *Steps {
	if tell == nil {
		tell = func(masu.Progress) {}
	}
	return &Steps{tell: tell, all: map[string]*step{}}
}

func (s *Steps) get(digest string) *step {
	st, ok := s.all[digest]
	if !ok {
		st = &step{number: strconv.Itoa(len(s.all) + 1), transfers: map[string]Transfer{}}
		s.all[digest] = st
		s.ordered = append(s.ordered, st)
	}
	return st
}

// Take passes on what is new in a trace. Output comes before the end of its step.
func (s *Steps) Take(t Trace) {
	for _, v := range t.Vertices {
		st := s.get(v.Digest)
		st.name = v.Name
		if st.state == "" {
			s.change(st, masu.StepQueued)
		}
		if v.Started && !v.Cached {
			s.change(st, masu.StepRunning)
		}
	}
	for _, o := range t.Outputs {
		s.print(s.get(o.Vertex), o.Text)
	}
	for _, m := range t.Transfers {
		s.move(s.get(m.Vertex), m)
	}
	for _, v := range t.Vertices {
		st := s.get(v.Digest)
		switch {
		case v.Err != "":
			st.err = v.Err
			s.flush(st)
			s.change(st, masu.StepFailed)
		case v.Cached:
			s.change(st, masu.StepCached)
		case v.Completed:
			s.flush(st)
			s.change(st, masu.StepDone)
		}
	}
}

// rank orders the states: a step never goes back.
func rank(p masu.ProgressState) int {
	return slices.Index([]masu.ProgressState{"", masu.StepQueued, masu.StepRunning, masu.StepDone, masu.StepCached, masu.StepFailed}, p)
}

func (s *Steps) change(st *step, to masu.ProgressState) {
	if rank(to) <= rank(st.state) {
		return
	}
	st.state = to
	s.say(masu.Progress{Step: st.number, Name: st.name, State: to})
}

func (s *Steps) print(st *step, text []byte) {
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

func (s *Steps) flush(st *step) {
	if len(st.partial) > 0 {
		s.line(st, st.partial)
		st.partial = nil
	}
}

// line passes on what a terminal would show at the end: after a carriage
// return a line is written over.
func (s *Steps) line(st *step, b []byte) {
	b = bytes.TrimRight(b, "\r")
	if i := bytes.LastIndexByte(b, '\r'); i >= 0 {
		b = b[i+1:]
	}
	st.full = st.full || bytes.Contains(b, []byte("No space left on device"))
	s.say(masu.Progress{Step: st.number, Name: st.name, State: st.state, Line: strings.ToValidUTF8(string(b), "\uFFFD")})
}

// move folds the parts of a step to one sum.
func (s *Steps) move(st *step, m Transfer) {
	if m.Total == 0 && m.Current == 0 {
		return
	}
	st.transfers[m.ID] = m
	var now [2]masu.Bytes
	for _, t := range st.transfers {
		now[0] += t.Current
		now[1] += max(t.Total, t.Current)
	}
	if now != st.moved {
		st.moved = now
		s.say(masu.Progress{Step: st.number, Name: st.name, State: st.state, Current: now[0], Total: now[1]})
	}
}

func (s *Steps) say(p masu.Progress) {
	p.At = time.Now()
	s.tell(p)
}

// failed gives the step that failed first by itself, nil if none did.
func (s *Steps) failed() *step {
	for _, st := range s.ordered {
		if st.err != "" && !strings.Contains(st.err, "context canceled") {
			return st
		}
	}
	return nil
}

// DiskFull tells whether the step that failed had no room: a program in it only has an exit code to say so.
func (s *Steps) DiskFull() bool {
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

// Trouble says what stopped a build, from the step that failed and the builder's last words.
func (s *Steps) Trouble(text string) *masu.Error {
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
