package notebook

import (
	"encoding/json"
	"slices"
	"time"
)

// Recorder writes into a notebook what a kernel says while its cells run.
type Recorder struct {
	cell  *Cell
	clear bool                 // at the next output
	shown map[string][]*Output // by the names under which they may be changed later, also by another cell
}

// Begin makes the cell the one that runs.
func (r *Recorder) Begin(c *Cell, at time.Time) {
	r.cell, r.clear = c, false
	c.Clear()
	c.Note(Began, at)
}

// Reply writes down that the kernel has answered for the cell.
func (r *Recorder) Reply(count int, at time.Time) {
	if count > 0 {
		r.cell.count = count
	}
	r.cell.Note(Replied, at)
}

// End writes down that the cell is over.
func (r *Recorder) End(at time.Time) { r.cell.Note(Ended, at) }

// Take takes a message about the cell that runs. It gives the text that is new
// in it, and whether the notebook has changed. What is not understood changes nothing.
func (r *Recorder) Take(kind string, content json.RawMessage) (text string, changed bool) {
	switch kind {
	case "execute_input":
		var m struct {
			Count int `json:"execution_count"`
		}
		if json.Unmarshal(content, &m) == nil && m.Count > 0 {
			r.cell.count = m.Count
			return "", true
		}
	case "clear_output":
		var m struct{ Wait bool }
		if json.Unmarshal(content, &m) == nil && m.Wait {
			r.clear = true
			return "", false
		}
		r.empty()
		return "", true
	case Stream, Result, Display, Failure:
		return r.output(kind, content)
	case "update_display_data":
		return "", r.update(content)
	}
	return "", false
}

// empty takes away the outputs of the cell that runs, and what would change them later.
func (r *Recorder) empty() {
	for id, list := range r.shown {
		list = slices.DeleteFunc(list, func(o *Output) bool { return slices.Contains(r.cell.outputs, o) })
		if r.shown[id] = list; len(list) == 0 {
			delete(r.shown, id)
		}
	}
	r.cell.outputs, r.clear = nil, false
}

// transient is what a message says of an output and the notebook does not keep.
type transient struct {
	Transient struct {
		ID string `json:"display_id"`
	}
}

func (r *Recorder) output(kind string, content json.RawMessage) (text string, changed bool) {
	o := &Output{}
	if json.Unmarshal(content, o) != nil {
		return "", false
	}
	o.Kind = kind
	if r.clear {
		r.empty()
	}
	if kind == Stream {
		var m struct{ Text string }
		_ = json.Unmarshal(content, &m) // it was read a moment ago
		if last := len(r.cell.outputs) - 1; last >= 0 && r.cell.outputs[last].Kind == Stream && r.cell.outputs[last].Name == o.Name {
			r.cell.outputs[last].screen.print(m.Text)
		} else {
			r.cell.outputs = append(r.cell.outputs, o)
		}
		return m.Text, true
	}
	r.cell.outputs = append(r.cell.outputs, o)
	var t transient
	if json.Unmarshal(content, &t) == nil && t.Transient.ID != "" {
		if r.shown == nil {
			r.shown = map[string][]*Output{}
		}
		r.shown[t.Transient.ID] = append(r.shown[t.Transient.ID], o)
	}
	if text = o.Text(); text != "" {
		text += "\n"
	}
	return text, true
}

func (r *Recorder) update(content json.RawMessage) (changed bool) {
	var t transient
	o := &Output{}
	if json.Unmarshal(content, &t) != nil || json.Unmarshal(content, o) != nil {
		return false
	}
	for _, old := range r.shown[t.Transient.ID] {
		old.Data, old.Metadata, changed = o.Data, o.Metadata, true
	}
	return changed
}

// Fail adds a failure that is not the kernel's own to the cell that runs.
func (r *Recorder) Fail(name, value string) {
	trace := name
	if value != "" {
		trace += ": " + value
	}
	r.cell.outputs = append(r.cell.outputs, &Output{Kind: Failure, Error: name, Value: value, Trace: []string{trace}})
}
