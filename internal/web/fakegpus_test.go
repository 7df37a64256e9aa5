package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

func (a *fakeActor) Board(context.Context) (masu.Board, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.measured, nil
}

func (a *fakeActor) GPUUsage(context.Context, time.Time, time.Time, bool) ([]masu.UsageRow, error) {
	return a.usage, nil
}

func (a *fakeActor) Extend(_ context.Context, name string, by time.Duration) (masu.Lease, error) {
	a.note("extend", fmt.Sprint(name, " ", by))
	return masu.Lease{}, nil
}

// named gives the workspace with an ID.
func (l *fakeLab) named(id masu.WorkspaceID) masu.Workspace {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[slices.IndexFunc(l.list, func(w masu.Workspace) bool { return w.ID == id })]
}

func (a *fakeActor) Reserve(_ context.Context, w masu.ReserveWish) ([]masu.Reservation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reserved = w
	return nil, nil
}

func (a *fakeActor) Reservations(context.Context, time.Time, time.Time) ([]masu.Reservation, error) {
	return a.measured.Reserved, nil
}
