package notebook

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/masu-lab/masu"
)

// What a notebook has at most. Its size in bytes says little: "{}," may be an
// output, and in memory each takes a hundred times what it takes in the file.
const (
	CellsMost   = 5000
	OutputsMost = 20_000

	fieldsMost = 250_000 // of objects, down to the media types of an output
	fieldsDeep = 6       // notebook, cells, cell, outputs, output, data
	fewMost    = 10_000  // of a cell's tags, or a failure's lines
)

func many() error { return masu.E(masu.Invalid, "notebook_many", CellsMost, OutputsMost) }

// marks calls see for every colon and comma of JSON that is not in a string,
// and with how many brackets are open there. It makes nothing.
func marks(text []byte, see func(mark byte, depth int)) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' || c == ',':
			see(c, depth)
		}
	}
}

// fields counts those of the objects that Parse and its like make maps of.
func fields(text []byte) int {
	n := 0
	marks(text, func(mark byte, depth int) {
		if mark == ':' && depth <= fieldsDeep {
			n++
		}
	})
	return n
}

// elements counts those of an array; what is none has none.
func elements(raw json.RawMessage) int {
	inside, ok := bytes.CutPrefix(raw, []byte("["))
	if !ok || len(bytes.TrimSpace(inside)) <= 1 {
		return 0
	}
	n := 1
	marks(raw, func(mark byte, depth int) {
		if mark == ',' && depth == 1 {
			n++
		}
	})
	return n
}

// few is a list of strings that is short in every notebook that is meant.
type few []string

// UnmarshalJSON refuses a long one before it is made.
func (f *few) UnmarshalJSON(text []byte) error {
	if elements(text) > fewMost {
		return errors.New("a list is too long")
	}
	return json.Unmarshal(text, (*[]string)(f))
}
