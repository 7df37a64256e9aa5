package lab

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
)

const (
	boardFor  = 3 * time.Second // how long a board is shown to others who ask
	boardOnce = 8               // boxes measured at once
)

// boardCache keeps the last board: many look at the same one. Nothing is
// measured while nobody looks.
type boardCache struct {
	mu    sync.Mutex
	last  masu.Board
	stale atomic.Bool // since it was measured, GPUs may have changed hands
}

// Board tells who uses how much now.
func (s *service) Board(ctx context.Context) (masu.Board, error) {
	b, err := s.l.board.get(ctx, s.l.measure)
	if err != nil {
		return b, err
	}
	return s.seen(ctx, b)
}

// Wall is the board without anything that is not for everybody: no workspaces, no tickets of theirs.
func (l *Lab) Wall(ctx context.Context) (masu.Board, error) {
	return (&service{l: l}).Board(ctx)
}

// PublicBoard is Wall where the house shows it to everybody.
func (l *Lab) PublicBoard(ctx context.Context) (masu.Board, error) {
	if !l.policy().PublicBoard {
		return masu.Board{}, masu.E(masu.NotFound, "no_page")
	}
	return l.Wall(ctx)
}

// get gives a board that is fresh enough.
func (c *boardCache) get(ctx context.Context, measure func(context.Context) (masu.Board, error)) (masu.Board, error) {
	c.mu.Lock() // one measures, the others wait for it
	defer c.mu.Unlock()
	if !c.stale.Swap(false) && time.Since(c.last.At) < boardFor {
		return c.last, nil
	}
	b, err := measure(ctx)
	if err == nil {
		c.last = b
	}
	return b, err
}

func (l *Lab) measure(ctx context.Context) (b masu.Board, err error) {
	all, err := l.everything(ctx)
	if err != nil {
		return b, err
	}
	if b.Users, err = l.boardUsers(ctx, all); err != nil {
		return b, err
	}
	if err := l.boardGPUs(ctx, all, &b); err != nil {
		return b, err
	}
	if l.cfg.Usage != nil {
		if b.Host, err = l.cfg.Usage(); err != nil {
			return b, err
		}
	}
	if root := l.engineRoot(ctx); l.cfg.Room != nil && root != "" {
		if free, total, err := l.cfg.Room(root); err == nil { // an engine elsewhere has its disk elsewhere
			b.Images = masu.Fill{Used: float64(total - free), Total: float64(total)}
		}
	}
	b.At = time.Now()
	return b, nil
}

// boardUsers adds up what each member's boxes take, and the GPUs that are lent to them.
func (l *Lab) boardUsers(ctx context.Context, all []masu.Workspace) (list []masu.BoardUse, err error) {
	var leases []masu.Lease
	if err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { leases, err = tx.Leases(); return err }); err != nil {
		return nil, err
	}
	users := map[masu.Username]*masu.BoardUse{}
	of := func(who masu.Username, since time.Time) *masu.BoardUse {
		use := users[who]
		if use == nil {
			use = &masu.BoardUse{Member: who, Since: since}
			users[who] = use
		}
		use.Since = earliest(use.Since, since)
		return use
	}
	boxes := l.running(all)
	loads := l.loads(ctx, boxes)
	for _, b := range boxes {
		use := of(b.owner, b.since)
		use.Running++
		use.CPU += loads[b.id].CPU
		use.Memory += loads[b.id].Memory
	}
	for _, lease := range leases {
		of(lease.Holder, lease.From).GPUs += len(lease.GPUs)
	}
	for _, use := range users {
		list = append(list, *use)
	}
	slices.SortFunc(list, func(x, y masu.BoardUse) int {
		return cmp.Or(cmp.Compare(y.Memory, x.Memory), cmp.Compare(x.Member, y.Member))
	})
	return list, nil
}

// loads measures running boxes; one that cannot be measured, because it ends just now, counts as nothing.
func (l *Lab) loads(ctx context.Context, boxes []runningBox) map[masu.WorkspaceID]masu.Load {
	m, ok := l.cfg.Runtime.(masu.Measurer)
	if !ok {
		return nil
	}
	var mu sync.Mutex
	loads := map[masu.WorkspaceID]masu.Load{}
	var g errgroup.Group
	g.SetLimit(boardOnce)
	for _, b := range boxes {
		g.Go(func() error {
			load, err := m.Measure(ctx, b.id)
			if err != nil {
				l.log.Debug("measure", "box", b.id, "error", err)
				return nil
			}
			mu.Lock()
			loads[b.id] = load
			mu.Unlock()
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	return loads
}
