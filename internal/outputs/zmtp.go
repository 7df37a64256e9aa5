package outputs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// What a publisher may send at most. A longer part is passed over; the others of its message are kept.
const (
	partMost  = 16 << 20
	partsMost = 64
	shake     = 10 * time.Second
)

// Flags of a frame of ZMTP.
const (
	flagMore = 1 << iota
	flagLong
	flagCommand
)

// greeting is the beginning of ZMTP 3.0, with no other security than the loopback's.
func greeting() []byte {
	g := make([]byte, 64)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:], "NULL")
	return g
}

// ready is the command by which a subscriber presents itself.
const ready = "\x05READY" + "\x0bSocket-Type" + "\x00\x00\x00\x03SUB"

// subscribe greets a publisher and asks for everything that it says: ZMQ's SUB, as far as a kernel's IOPub needs it.
func subscribe(conn net.Conn) (*bufio.Reader, error) {
	if err := conn.SetDeadline(time.Now().Add(shake)); err != nil {
		return nil, err
	}
	hello := append(greeting(), flagCommand, byte(len(ready)))
	hello = append(hello, ready...)
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	var theirs [64]byte
	if _, err := io.ReadFull(r, theirs[:]); err != nil {
		return nil, err
	}
	if theirs[0] != 0xff || theirs[9]&1 == 0 || theirs[10] < 3 || string(bytes.TrimRight(theirs[12:32], "\x00")) != "NULL" {
		return nil, errors.New("zmtp: no publisher of version 3")
	}
	flags, size, err := frame(r)
	if err != nil {
		return nil, err
	}
	if flags&flagCommand == 0 || size > 64<<10 {
		return nil, errors.New("zmtp: the publisher is not ready")
	}
	command := make([]byte, size)
	if _, err := io.ReadFull(r, command); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(command, []byte("\x05READY")) {
		return nil, fmt.Errorf("zmtp: the publisher says %.40q", command)
	}
	if _, err := conn.Write([]byte{0, 1, 1}); err != nil { // a message of one byte: subscribe, to whatever begins with nothing
		return nil, err
	}
	return r, conn.SetDeadline(time.Time{})
}

// frame reads how the next frame begins.
func frame(r *bufio.Reader) (flags byte, size uint64, err error) {
	if flags, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, fmt.Errorf("zmtp: a frame with the flags %#x", flags)
	}
	if flags&flagLong == 0 {
		short, err := r.ReadByte()
		return flags, uint64(short), err
	}
	var long [8]byte
	if _, err := io.ReadFull(r, long[:]); err != nil {
		return 0, 0, err
	}
	size = binary.BigEndian.Uint64(long[:])
	if size > 1<<62 {
		return 0, 0, errors.New("zmtp: a frame that nobody can send")
	}
	return flags, size, nil
}

// receive reads a message. A part that is too long is nil, and so are those after the first partsMost.
func receive(r *bufio.Reader) (parts [][]byte, err error) {
	for room := uint64(partMost); ; {
		flags, size, err := frame(r)
		if err != nil {
			return nil, err
		}
		var part []byte
		if size > room || len(parts) >= partsMost || flags&flagCommand != 0 {
			_, err = io.CopyN(io.Discard, r, int64(size))
		} else {
			part = make([]byte, size)
			_, err = io.ReadFull(r, part)
			room -= size
		}
		if err != nil {
			return nil, err
		}
		if flags&flagCommand != 0 { // none is owed an answer in this version
			continue
		}
		if len(parts) < partsMost {
			parts = append(parts, part)
		}
		if flags&flagMore == 0 {
			return parts, nil
		}
	}
}
