package agent

import (
	"context"
	"net/http"
	"slices"
	"sync"
)

// appLog is what an app has printed lately, and news of it.
type appLog struct {
	mu   sync.Mutex
	kept []byte
	gone int           // how much there was before what is kept
	more chan struct{} // closed when there is more; nil when nobody waits
}

const logKept = 256 << 10

// Write is io.Writer's.
func (l *appLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, p...)
	if over := len(l.kept) - logKept; over > 0 {
		l.kept, l.gone = append([]byte(nil), l.kept[over:]...), l.gone+over
	}
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return len(p), nil
}

// copy gives what is kept; with follow also what comes, until ctx ends.
func (l *appLog) copy(ctx context.Context, w http.ResponseWriter, follow bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	flush := http.NewResponseController(w)
	for at := 0; ; {
		l.mu.Lock()
		at = max(at, l.gone)
		part := slices.Clone(l.kept[at-l.gone:])
		at += len(part)
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if _, err := w.Write(part); err != nil || flush.Flush() != nil || !follow {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}
