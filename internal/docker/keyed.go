package docker

import (
	"context"
	"sync"

	"github.com/masu-lab/masu"
)

// keyed is one lock for each workspace: two Starts of one box must not stage
// its folders over each other.
type keyed struct {
	mu   sync.Mutex
	held map[masu.WorkspaceID]chan struct{} // closed when it is let go
}

func (k *keyed) lock(ctx context.Context, id masu.WorkspaceID) (unlock func(), err error) {
	for {
		k.mu.Lock()
		held, ok := k.held[id]
		if !ok {
			if k.held == nil {
				k.held = map[masu.WorkspaceID]chan struct{}{}
			}
			mine := make(chan struct{})
			k.held[id] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, id)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
