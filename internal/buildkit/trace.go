// Package buildkit understands what a BuildKit tells while it builds, and how
// it says that it cannot.
package buildkit

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/masu-lab/masu"
)

// Vertex is a step of a build, at a moment.
type Vertex struct {
	Digest, Name, Err          string
	Cached, Started, Completed bool
}

// Transfer is how far a part of a step is: a layer that is fetched, a context that is sent.
type Transfer struct {
	ID, Vertex     string
	Current, Total masu.Bytes
}

// Output is what a step has printed.
type Output struct {
	Vertex string
	Text   []byte
}

// Trace is what a builder tells at once.
type Trace struct {
	Vertices  []Vertex
	Transfers []Transfer
	Outputs   []Output
}

// fields walks over one protobuf message.
func fields(b []byte, f func(n protowire.Number, v []byte, u uint64)) error {
	for len(b) > 0 {
		n, t, l := protowire.ConsumeTag(b)
		if l < 0 {
			return protowire.ParseError(l)
		}
		b = b[l:]
		var v []byte
		var u uint64
		switch t {
		case protowire.BytesType:
			v, l = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			u, l = protowire.ConsumeVarint(b)
		default:
			l = protowire.ConsumeFieldValue(n, t, b)
		}
		if l < 0 {
			return protowire.ParseError(l)
		}
		b = b[l:]
		if v != nil || t == protowire.VarintType {
			f(n, v, u)
		}
	}
	return nil
}

// DecodeTrace reads a message of BuildKit's control API (StatusResponse), of
// which masu needs few fields: the generated code would bring the whole of
// BuildKit into the binary.
func DecodeTrace(b []byte) (t Trace, err error) {
	var inner []error
	err = fields(b, func(n protowire.Number, m []byte, _ uint64) {
		switch n {
		case 1:
			v, err := decodeVertex(m)
			inner, t.Vertices = append(inner, err), append(t.Vertices, v)
		case 2:
			s, err := decodeTransfer(m)
			inner, t.Transfers = append(inner, err), append(t.Transfers, s)
		case 3:
			o, err := decodeOutput(m)
			inner, t.Outputs = append(inner, err), append(t.Outputs, o)
		}
	})
	for _, e := range inner {
		if err == nil {
			err = e
		}
	}
	return t, err
}

func decodeVertex(b []byte) (v Vertex, err error) {
	err = fields(b, func(n protowire.Number, b []byte, u uint64) {
		switch n {
		case 1:
			v.Digest = string(b)
		case 3:
			v.Name = string(b)
		case 4:
			v.Cached = u != 0
		case 5:
			v.Started = true
		case 6:
			v.Completed = true
		case 7:
			v.Err = string(b)
		}
	})
	return v, err
}

func decodeTransfer(b []byte) (s Transfer, err error) {
	err = fields(b, func(n protowire.Number, b []byte, u uint64) {
		switch n {
		case 1:
			s.ID = string(b)
		case 2:
			s.Vertex = string(b)
		case 4:
			s.Current = masu.Bytes(u)
		case 5:
			s.Total = masu.Bytes(u)
		}
	})
	return s, err
}

func decodeOutput(b []byte) (o Output, err error) {
	err = fields(b, func(n protowire.Number, b []byte, _ uint64) {
		switch n {
		case 1:
			o.Vertex = string(b)
		case 4:
			o.Text = bytes.Clone(b)
		}
	})
	return o, err
}
