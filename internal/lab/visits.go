package lab

import (
	"context"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// visitEvery is how often the log says that somebody is in another's box: a
// forwarded port is dialled for each request.
const visitEvery = time.Minute

type visit struct {
	actor     masu.Username
	workspace masu.WorkspaceID
}

// visited is when each visit of late was written down.
type visited struct {
	mu sync.Mutex
	at map[visit]time.Time
}

// first tells whether a visit is to be written down now.
func (v *visited) first(one visit) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if at, ok := v.at[one]; ok && now.Sub(at) < visitEvery {
		return false
	}
	for other, at := range v.at {
		if now.Sub(at) >= visitEvery {
			delete(v.at, other)
		}
	}
	v.at[one] = now
	return true
}

// visits writes down that the actor is in another's box, as an admin who helps or as a guest.
func (s *service) visits(ctx context.Context, w masu.Workspace) {
	if w.Owner != s.actor.Name && s.l.visited.first(visit{s.actor.Name, w.ID}) {
		s.l.record(ctx, s.actor, "open", w.Label, nil)
	}
}
