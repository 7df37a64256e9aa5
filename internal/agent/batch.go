package agent

import (
	"io"
	"sync"
)

// batch is a writer whose pieces leave together: what comes while one write is
// under way goes with the next. Each piece that leaves alone would be a packet
// of ssh's, which costs more than most answers do.
type batch struct {
	to   io.WriteCloser
	done chan struct{} // all has left that will

	mu     sync.Mutex
	turn   *sync.Cond // something of what follows has changed
	held   []byte
	err    error // of the last write
	closed bool
}

// batchMost is how much may be held; who writes more waits.
const batchMost = 256 << 10

func newBatch(to io.WriteCloser) *batch {
	b := &batch{to: to, done: make(chan struct{})}
	b.turn = sync.NewCond(&b.mu)
	go b.run()
	return b
}

func (b *batch) run() {
	defer close(b.done)
	b.mu.Lock()
	defer b.mu.Unlock()
	for spare := []byte(nil); ; {
		for len(b.held) == 0 && !b.closed {
			b.turn.Wait()
		}
		if len(b.held) == 0 {
			return
		}
		leaving := b.held
		b.held = spare[:0]
		b.turn.Broadcast()
		b.mu.Unlock()
		_, err := b.to.Write(leaving)
		b.mu.Lock()
		if spare = leaving; err != nil {
			b.err = err
			b.turn.Broadcast()
			return
		}
	}
}

// Write holds a copy, which leaves by itself. It tells errors of what was written before.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.held) >= batchMost && b.err == nil && !b.closed {
		b.turn.Wait()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.closed:
		return 0, io.ErrClosedPipe
	}
	b.held = append(b.held, p...)
	b.turn.Broadcast()
	return len(p), nil
}

// Close waits until what is held has left.
func (b *batch) Close() error {
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.turn.Broadcast()
	b.mu.Unlock()
	<-b.done
	if again {
		return nil
	}
	if err := b.to.Close(); b.err == nil {
		return err
	}
	return b.err
}
