package notebook

import (
	"encoding/json"
	"strings"
	"sync"
)

// NewCode makes a code cell that belongs to no notebook.
func NewCode(source string) *Cell {
	return &Cell{Kind: Code, Source: source, fields: map[string]json.RawMessage{}, fresh: true}
}

// Written gives the cell's outputs as a file holds them, and where note is not
// empty, that as a last one.
func (c *Cell) Written(note string) (json.RawMessage, error) {
	all := append([]*Output{}, c.Outputs()...)
	if note != "" {
		o := &Output{Kind: Stream, Name: "stderr"}
		if last := len(all) - 1; last >= 0 && all[last].Kind == Stream && !strings.HasSuffix(all[last].Text(), "\n") {
			note = "\n" + note
		}
		o.screen.print(note + "\n")
		all = append(all, o)
	}
	return marshal(all)
}

// Fill puts outputs as Written gives them in the place of the cell's own, and the number of their execution.
func (c *Cell) Fill(outputs json.RawMessage, count int) {
	c.Clear()
	c.fresh, c.once, c.read = false, sync.Once{}, nil
	c.fields["outputs"], c.fields["execution_count"] = outputs, json.RawMessage("null")
	if raw, err := marshal(count); err == nil && count > 0 {
		c.fields["execution_count"] = raw
	}
}
