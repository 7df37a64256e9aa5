package mirror

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"path"

	"github.com/pkg/sftp"
)

// ErrMeanwhile means that something changed while it was being looked at: the
// next round sees it as it is then.
var ErrMeanwhile = errors.New("mirror: it changed meanwhile")

// temporary is a name beside p for a file that is being written.
func temporary(p string) string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return join(path.Dir(p), partial+hex.EncodeToString(b)+partialEnd)
}

// Transfer copies a file or a link from one tree to another, under a temporary
// name first: whatever goes wrong, to holds what it held, or the whole of from.
// before is asked when all is there and before it takes its place. It returns
// the SHA-256 of a file's content.
func Transfer(ctx context.Context, src, dst Tree, from, to string, e Entry, count func(int64), before func() error) (sum string, err error) {
	temp := temporary(to)
	defer func() {
		if err != nil {
			_ = dst.Remove(temp) // an error means that it is not there
		}
	}()
	if e.Kind == Link {
		if err := dst.MakeLink(temp, e.Target); err != nil {
			return "", err
		}
	} else if sum, err = pour(ctx, src, dst, from, temp, e, count); err != nil {
		return "", err
	}
	again, err := src.Look(from)
	if err == nil && !again.same(e) || errors.Is(err, fs.ErrNotExist) {
		err = ErrMeanwhile
	}
	if err == nil && before != nil {
		err = before()
	}
	if err != nil {
		return "", err
	}
	return sum, dst.Move(temp, to)
}

// pour copies a file's content, permissions and time.
func pour(ctx context.Context, src, dst Tree, from, temp string, e Entry, count func(int64)) (sum string, err error) {
	r, err := src.Open(from)
	if err != nil {
		return "", err
	}
	defer r.Close()
	w, err := dst.Create(temp)
	if err != nil {
		return "", err
	}
	m := &meter{ctx: ctx, sum: sha256.New(), count: count, size: e.Size}
	if far, ok := r.(*sftp.File); ok { // which reads ahead, if it is let
		m.w = w
		_, err = far.WriteTo(m)
	} else {
		m.r = r
		_, err = io.Copy(w, m)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	mode := e.Mode
	if mode == 0 {
		mode = 0o644
	}
	return hex.EncodeToString(m.sum.Sum(nil)), dst.Stamp(temp, mode, e.Time)
}

// meter is what a file's content flows through, from a reader or into a writer.
type meter struct {
	ctx   context.Context
	r     io.Reader
	w     io.Writer
	sum   hash.Hash
	count func(int64)
	size  int64
}

// Size lets sftp write several parts at once.
func (m *meter) Size() int64 { return m.size }

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.passed(p[:n])
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.w.Write(p)
	m.passed(p[:n])
	return n, err
}

func (m *meter) passed(p []byte) {
	m.sum.Write(p)
	if m.count != nil {
		m.count(int64(len(p)))
	}
}

// Sum gives the SHA-256 of a file's content.
func Sum(ctx context.Context, t Tree, p string) (string, error) {
	r, err := t.Open(p)
	if err != nil {
		return "", err
	}
	defer r.Close()
	m := &meter{ctx: ctx, sum: sha256.New(), w: io.Discard}
	if far, ok := r.(*sftp.File); ok {
		_, err = far.WriteTo(m)
	} else {
		m.r = r
		_, err = io.Copy(io.Discard, struct{ io.Reader }{m})
	}
	return hex.EncodeToString(m.sum.Sum(nil)), err
}
