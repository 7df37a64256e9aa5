package docker

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/masu-lab/masu"
)

// A builder tells what it does as messages of BuildKit's control API
// (StatusResponse). masu reads the few fields that it shows by hand: the
// generated code would bring the whole of BuildKit into the binary.

// vertex is a step of a build, at a moment.
type vertex struct {
	digest, name, err          string
	cached, started, completed bool
}

// transfer is how far a part of a step is: a layer that is fetched, a context that is sent.
type transfer struct {
	id, vertex     string
	current, total masu.Bytes
}

// output is what a step has printed.
type output struct {
	vertex string
	text   []byte
}

type trace struct {
	vertices  []vertex
	transfers []transfer
	outputs   []output
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

func decodeTrace(b []byte) (t trace, err error) {
	var inner []error
	err = fields(b, func(n protowire.Number, m []byte, _ uint64) {
		switch n {
		case 1:
			v, err := decodeVertex(m)
			inner, t.vertices = append(inner, err), append(t.vertices, v)
		case 2:
			s, err := decodeTransfer(m)
			inner, t.transfers = append(inner, err), append(t.transfers, s)
		case 3:
			o, err := decodeOutput(m)
			inner, t.outputs = append(inner, err), append(t.outputs, o)
		}
	})
	for _, e := range inner {
		if err == nil {
			err = e
		}
	}
	return t, err
}

func decodeVertex(b []byte) (v vertex, err error) {
	err = fields(b, func(n protowire.Number, b []byte, u uint64) {
		switch n {
		case 1:
			v.digest = string(b)
		case 3:
			v.name = string(b)
		case 4:
			v.cached = u != 0
		case 5:
			v.started = true
		case 6:
			v.completed = true
		case 7:
			v.err = string(b)
		}
	})
	return v, err
}

func decodeTransfer(b []byte) (s transfer, err error) {
	err = fields(b, func(n protowire.Number, b []byte, u uint64) {
		switch n {
		case 1:
			s.id = string(b)
		case 2:
			s.vertex = string(b)
		case 4:
			s.current = masu.Bytes(u)
		case 5:
			s.total = masu.Bytes(u)
		}
	})
	return s, err
}

func decodeOutput(b []byte) (o output, err error) {
	err = fields(b, func(n protowire.Number, b []byte, _ uint64) {
		switch n {
		case 1:
			o.vertex = string(b)
		case 4:
			o.text = bytes.Clone(b)
		}
	})
	return o, err
}
