package sshd

import (
	"bytes"
	"io"
	"sync"
)

const (
	mostTyped = 64 << 10 // that waits for a program to read it
	ctrlC     = 3
)

// keyboard is what somebody types at a terminal. Until the program begins it is
// kept, and Ctrl-C gives up the wait for it.
type keyboard struct {
	giveUp func()

	mu      sync.Mutex
	change  *sync.Cond
	begun   bool
	waiting []byte
	err     error
}

func newKeyboard(giveUp func()) *keyboard {
	k := &keyboard{giveUp: giveUp}
	k.change = sync.NewCond(&k.mu)
	return k
}

// read takes what is typed until it ends.
func (k *keyboard) read(from io.Reader) {
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		k.typed(b[:n], err)
		if err != nil {
			return
		}
	}
}

func (k *keyboard) typed(b []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.begun && bytes.IndexByte(b, ctrlC) >= 0 {
		k.giveUp()
	}
	for k.begun && len(k.waiting) > mostTyped && k.err == nil {
		k.change.Wait()
	}
	if len(k.waiting) <= mostTyped {
		k.waiting = append(k.waiting, b...)
	}
	if k.err == nil {
		k.err = err
	}
	k.change.Broadcast()
}

// press types one key in the caller's name; where too much waits already, it is for nobody.
func (k *keyboard) press(key byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.begun && key == ctrlC {
		k.giveUp()
	}
	if len(k.waiting) <= mostTyped {
		k.waiting = append(k.waiting, key)
	}
	k.change.Broadcast()
}

// begin tells that the program reads from now on.
func (k *keyboard) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begun = true
}

// Close ends it: what is typed from now on is for nobody.
func (k *keyboard) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = io.EOF
	}
	k.change.Broadcast()
	return nil
}

func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) == 0 && k.err == nil {
		k.change.Wait()
	}
	if len(k.waiting) == 0 {
		return 0, k.err
	}
	n := copy(p, k.waiting)
	k.waiting = k.waiting[n:]
	k.change.Broadcast()
	return n, nil
}
