// Package outputs keeps what a kernel prints while no page is there to see it,
// and puts it into the notebook when it is next opened. It runs in a box, as
// the member, and listens beside Jupyter: by ZMQ, as pages' own sockets would
// keep Jupyter from keeping messages for a page that only sleeps.
package outputs

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu/internal/notebook"
)

// What is kept at most.
const (
	cellMost    = 8 << 20 // bytes of the outputs of one execution
	totalMost   = 64 << 20
	codeMost    = 1 << 20
	runsMost    = 500 // executions of one kernel
	idsMost     = 2000
	kernelsMost = 64
)

// execution is one run of a cell.
type execution struct {
	id, session string
	code        string
	count       int
	cell        *notebook.Cell // of no notebook: it holds the outputs
	rec         notebook.Recorder
	size        int  // bytes taken since they were last weighed, and what they weighed then
	cut         bool // more came than is kept
	running     bool
	last        time.Time // when something was last said about it
	written     time.Time // when it was last put into a notebook
}

// book is what one kernel has said.
type book struct {
	mu      sync.Mutex
	path    string // of its notebook, as far as is known
	located bool   // it was asked for
	runs    []*execution
	shown   map[string][]*execution // by the name of a display that may be changed later
	gone    map[string]time.Time    // sessions whose page will not come back, and since when that is known
}

func newBook() *book {
	return &book{shown: map[string][]*execution{}, gone: map[string]time.Time{}}
}

// find gives the execution that a request began; nil for one that is not kept.
func (b *book) find(request string) *execution {
	for i := len(b.runs) - 1; i >= 0; i-- {
		if b.runs[i].id == request {
			return b.runs[i]
		}
	}
	return nil
}

// take writes down what the kernel has said.
func (b *book) take(m message, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.kind == "execute_input" {
		b.begin(m, now)
		return
	}
	if m.asked == "kernel_info_request" { // as a page does that comes back
		delete(b.gone, m.session)
	}
	e := b.find(m.parent)
	if e == nil {
		return
	}
	switch m.kind {
	case "status":
		var s struct {
			State string `json:"execution_state"`
		}
		if json.Unmarshal(m.content, &s) == nil && s.State == "idle" {
			e.running, e.last = false, now
		}
	case "update_display_data":
		for _, shows := range b.shown[display(m.content)] {
			b.add(shows, m, now)
		}
	case notebook.Display, notebook.Result:
		if id := display(m.content); id != "" && len(b.shown) < idsMost && !slices.Contains(b.shown[id], e) {
			b.shown[id] = append(b.shown[id], e)
		}
		b.add(e, m, now)
	case notebook.Stream, notebook.Failure, "clear_output":
		b.add(e, m, now)
	}
}

// display is the name under which an output may be changed later; "" for none.
func display(content json.RawMessage) string {
	var t struct {
		Transient struct {
			ID string `json:"display_id"`
		}
	}
	_ = json.Unmarshal(content, &t) // then it has none
	return t.Transient.ID
}

func (b *book) begin(m message, now time.Time) {
	var input struct {
		Code  string
		Count int `json:"execution_count"`
	}
	if json.Unmarshal(m.content, &input) != nil || input.Code == "" || len(input.Code) > codeMost || m.parent == "" {
		return
	}
	e := &execution{id: m.parent, session: m.session, code: input.Code, count: input.Count,
		cell: notebook.NewCode(input.Code), size: len(input.Code), running: true, last: now}
	e.rec.Begin(e.cell, now)
	b.runs = append(b.runs, e)
	if len(b.runs) > runsMost {
		b.forget(b.runs[0])
	}
}

// add is for what changes an execution's outputs.
func (b *book) add(e *execution, m message, now time.Time) {
	e.last = now
	if e.cut {
		return
	}
	if m.cut {
		e.cut = true
		return
	}
	e.rec.Take(m.kind, m.content)
	e.size += len(m.content)
	if e.size <= 2*cellMost {
		return
	}
	raw, err := e.cell.Written("") // much of it may have been cleared, or overwritten
	e.size = len(raw)
	e.cut = err != nil || e.size > cellMost
}

// lost is for a kernel that has gone: what ran in it is over.
func (b *book) lost(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.runs {
		if e.running {
			e.rec.Fail("KernelDied", "")
			e.running, e.last = false, now
		}
	}
}

func (b *book) forget(e *execution) {
	b.runs = slices.DeleteFunc(b.runs, func(x *execution) bool { return x == e })
	for id, list := range b.shown {
		if b.shown[id] = slices.DeleteFunc(list, func(x *execution) bool { return x == e }); len(b.shown[id]) == 0 {
			delete(b.shown, id)
		}
	}
}

// weight is about how many bytes the book holds.
func (b *book) weight() (sum int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.runs {
		sum += e.size
	}
	return sum
}

// shrink forgets the oldest executions that are over until enough room is
// made, and if it does not suffice, keeps no more of those that run.
func (b *book) shrink(much int) (freed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range slices.Clone(b.runs) {
		if freed < much && !e.running {
			freed += e.size
			b.forget(e)
		}
	}
	for _, e := range b.runs {
		e.cut = e.cut || freed < much
	}
	return freed
}
