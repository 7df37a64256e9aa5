package web

import (
	"context"
	"fmt"
	"time"

	"github.com/masu-lab/masu"
)

func (a *fakeActor) Samples(context.Context, string, time.Time) ([]masu.Sample, error) {
	return a.samples, nil
}

// RunSamples tells of each run that it used the same.
func (a *fakeActor) RunSamples(ctx context.Context, id masu.WorkspaceID) ([]masu.Sample, error) {
	if _, err := a.RunByID(ctx, id); err != nil {
		return nil, err
	}
	return a.samples, nil
}

func (a *fakeActor) Added(context.Context, string) (masu.Layer, error) { return a.byHand, nil }

func (a *fakeActor) Keep(_ context.Context, name string, l masu.Layer) error {
	a.note("keep", fmt.Sprint(name, l.Apt, l.Pip))
	return nil
}

func (a *fakeActor) Admit(ctx context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	a.note("admit", fmt.Sprint(name, " ", guest))
	if guest == "nobody" {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_member", guest)
	}
	return a.Workspace(ctx, name)
}

func (a *fakeActor) Dismiss(ctx context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	a.note("dismiss", fmt.Sprint(name, " ", guest))
	return a.Workspace(ctx, name)
}

func (a *fakeActor) Share(_ context.Context, w masu.ShareWish) (masu.Shared, error) {
	a.note("share", fmt.Sprint(w.Workspace, " ", w.Title, " ", w.Lab))
	x := masu.Shared{ID: "shared000001", Owner: a.name, Title: w.Title, About: w.About, Lab: w.Lab, Text: "preset: python\n"}
	a.shared[x.ID] = x
	return x, nil
}

func (a *fakeActor) Shared(_ context.Context, id string) (masu.EnvironmentUse, error) {
	x, ok := a.shared[id]
	if !ok {
		return masu.EnvironmentUse{}, masu.E(masu.NotFound, "no_shared", id)
	}
	return masu.EnvironmentUse{Shared: x, Env: x.Env, Key: x.Env.Key(), Size: 6 * masu.GiB, Members: []masu.Username{"alice", "suzuki"}}, nil
}

func (a *fakeActor) Environments(context.Context) (list []masu.EnvironmentUse, err error) {
	for _, x := range a.shared {
		list = append(list, masu.EnvironmentUse{Shared: x, Env: x.Env, Key: x.Env.Key(), Size: 6 * masu.GiB, Members: []masu.Username{"alice", "suzuki"}})
	}
	return list, nil
}

func (a *fakeActor) ChangeShared(_ context.Context, id string, c masu.SharedChange) (masu.Shared, error) {
	x := a.shared[id]
	if c.Retired != nil {
		x.Retired = *c.Retired
	}
	if c.Title != nil {
		x.Title, x.Lab = *c.Title, *c.Lab
	}
	a.shared[id] = x
	return x, nil
}

func (a *fakeActor) Unshare(_ context.Context, id string) error {
	delete(a.shared, id)
	return nil
}

func (a *fakeActor) ShareApp(ctx context.Context, name string, x masu.AppShare) (masu.Workspace, error) {
	a.note("share app", fmt.Sprint(name, " ", x.App, " ", x.With, " ", x.Lab))
	if x.With == "nobody" {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_member", x.With)
	}
	return a.Workspace(ctx, name)
}

func (a *fakeActor) UnshareApp(ctx context.Context, name string, x masu.AppShare) (masu.Workspace, error) {
	a.note("unshare app", fmt.Sprint(name, " ", x.App, " ", x.With, " ", x.Lab))
	return a.Workspace(ctx, name)
}
