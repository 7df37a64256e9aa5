package web

import "sync"

// lineMost bounds what waits for one page: its browser reads nothing, and comes
// again when it does.
const lineMost = 1 << 20

// line brings messages to one page. It needs a goroutine only while there is something to bring.
type line struct {
	mu      sync.Mutex
	out     *stream // nil until the page has begun, and when it has ended
	end     func()  // has the page end
	over    bool
	waits   [][]byte
	size    int
	writing sync.WaitGroup
	busy    bool
}

// begin opens the line with what comes before all that waits already.
func (l *line) begin(out *stream, end func(), first [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end = end; l.over {
		end()
		return
	}
	l.out, l.waits = out, append(first, l.waits...)
	l.stir()
}

// put never waits.
func (l *line) put(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size += len(b); l.size > lineMost {
		l.finish()
	}
	if l.over {
		return
	}
	l.waits = append(l.waits, b)
	l.stir()
}

// stir has somebody write what waits. The caller holds the lock.
func (l *line) stir() {
	if l.out != nil && !l.busy && len(l.waits) > 0 {
		l.busy = true
		l.writing.Go(l.write)
	}
}

func (l *line) write() {
	for {
		l.mu.Lock()
		out, b := l.out, l.waits
		l.waits, l.size = nil, 0
		if out == nil || len(b) == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		if out.write(b...) != nil {
			l.close()
		}
	}
}

// close has nothing written any more, and the page end.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish()
}

// finish is close for who holds the lock.
func (l *line) finish() {
	l.out, l.waits, l.over = nil, nil, true
	if l.end != nil {
		l.end()
	}
}
