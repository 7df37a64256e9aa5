package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/masu-lab/masu"
)

// frameType says what a frame carries. On the wire a frame is its type (one
// byte), the length of its payload (four bytes, big-endian) and the payload.
type frameType byte

const (
	frameStdin    frameType = iota + 1 // to the command
	frameStdinEnd                      // there is no more of it
	frameResize                        // rows and columns, two bytes each
	frameStdout                        // from the command
	frameStderr
	frameProgress // masu.Progress as JSON, before a run begins
	frameExit     // the exit code, four bytes; the last frame
	frameError    // wireError as JSON; the last frame
	framePing     // nothing: finds out whether somebody is still there
)

const (
	frameHead  = 5
	frameChunk = 32 << 10 // of a stream in one frame
	frameLimit = 1 << 20  // no frame is longer
)

var errFrame = errors.New("api: not a frame")

// readFrame reads one frame into buf, which it grows when it must and returns
// for the next one. io.EOF means that the other end has closed between frames.
func readFrame(r io.Reader, buf []byte) (frameType, []byte, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, buf, err
	}
	t, n := frameType(head[0]), binary.BigEndian.Uint32(head[1:])
	if t < frameStdin || t > framePing || n > frameLimit {
		return 0, nil, buf, fmt.Errorf("%w: type %d, %d bytes", errFrame, t, n)
	}
	if int(n) > cap(buf) {
		buf = make([]byte, n)
	}
	payload := buf[:n]
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, buf, err
	}
	return t, payload, buf, nil
}

// frameWriter writes frames, one at a time; many may write at once. It holds
// back nobody but the writer: when the other end does not read, writing waits.
type frameWriter struct {
	w      io.Writer
	failed func() // called when the other end has gone

	mu  sync.Mutex
	buf []byte
}

func (f *frameWriter) write(t frameType, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = append(f.buf[:0], byte(t))
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(payload)))
	f.buf = append(f.buf, payload...)
	_, err := f.w.Write(f.buf)
	if err != nil && f.failed != nil {
		f.failed()
	}
	return err
}

func (f *frameWriter) writeJSON(t frameType, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > frameLimit {
		return fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	return f.write(t, b)
}

func (f *frameWriter) exit(code int) error {
	return f.write(frameExit, binary.BigEndian.AppendUint32(nil, uint32(int32(code))))
}

func (f *frameWriter) resize(s masu.WinSize) error {
	b := binary.BigEndian.AppendUint16(nil, s.Rows)
	return f.write(frameResize, binary.BigEndian.AppendUint16(b, s.Cols))
}

// stream writes bytes as frames of one type.
type stream struct {
	f *frameWriter
	t frameType
}

func (s stream) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		chunk := p[n:min(n+frameChunk, len(p))]
		if err := s.f.write(s.t, chunk); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return len(p), nil
}

func exitCode(payload []byte) (int, error) {
	if len(payload) != 4 {
		return -1, fmt.Errorf("%w: an exit code of %d bytes", errFrame, len(payload))
	}
	return int(int32(binary.BigEndian.Uint32(payload))), nil
}

func winSize(payload []byte) (masu.WinSize, error) {
	if len(payload) != 4 {
		return masu.WinSize{}, fmt.Errorf("%w: a size of %d bytes", errFrame, len(payload))
	}
	return masu.WinSize{Rows: binary.BigEndian.Uint16(payload), Cols: binary.BigEndian.Uint16(payload[2:])}, nil
}
