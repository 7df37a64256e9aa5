package mirror

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
)

// mostBase bounds the file that remembers what was alike.
const mostBase = 512 << 20

var errBase = errors.New("mirror: not what was remembered")

// ReadBase reads what WriteBase has written, and nothing that could lead out of a folder.
func ReadBase(r io.Reader) (Base, error) {
	var b Base
	if err := json.NewDecoder(io.LimitReader(r, mostBase)).Decode(&b); err != nil {
		return nil, errors.Join(errBase, err)
	}
	for p, rec := range b {
		if !fs.ValidPath(p) || p == "." || rec.Near.Kind == None || rec.Far.Kind == None {
			return nil, errBase
		}
	}
	return b, nil
}

// WriteBase remembers what is alike.
func WriteBase(w io.Writer, b Base) error { return json.NewEncoder(w).Encode(b) }
