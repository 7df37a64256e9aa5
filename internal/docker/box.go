package docker

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Boxes tells the truth about every box of this lab, from the engine.
func (r *Runtime) Boxes(ctx context.Context) ([]masu.BoxStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	ids, err := r.ids(ctx)
	if err != nil {
		return nil, err
	}
	// The list knows neither exit codes nor times, so each is inspected.
	const workers = 8
	var (
		wg    sync.WaitGroup
		next  = make(chan int)
		found = make([]*container.InspectResponse, len(ids))
		sides = make([][]masu.SideStatus, len(ids))
		errs  = make([]error, len(ids))
	)
	for range min(workers, len(ids)) {
		wg.Go(func() {
			for i := range next {
				if found[i], errs[i] = r.find(ctx, ids[i]); found[i] != nil {
					sides[i], errs[i] = r.sideStatuses(ctx, ids[i], found[i])
				}
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []masu.BoxStatus
	for i, c := range found {
		if c != nil { // nil: gone between the list and the look
			s := status(ids[i], c)
			s.Sides = sides[i]
			out = append(out, s)
		}
	}
	return out, nil
}

// Box tells the truth about one box.
func (r *Runtime) Box(ctx context.Context, id masu.WorkspaceID) (masu.BoxStatus, error) {
	c, err := r.find(ctx, id)
	if err == nil && c == nil {
		err = masu.E(masu.NotFound, "no_box", id)
	}
	if err != nil {
		return masu.BoxStatus{}, err
	}
	s := status(id, c)
	s.Sides, err = r.sideStatuses(ctx, id, c)
	return s, err
}

// ids lists the boxes of this lab. A container that only looks like one,
// because an image carries our labels, does not have the name.
func (r *Runtime) ids(ctx context.Context) ([]masu.WorkspaceID, error) {
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: r.mine()})
	if err != nil {
		return nil, r.failed("list", err)
	}
	var ids []masu.WorkspaceID
	for _, c := range list.Items {
		id := masu.WorkspaceID(c.Labels[labelWorkspace])
		for _, name := range c.Names {
			if name == "/"+boxName(id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func (r *Runtime) mine() client.Filters {
	return client.Filters{}.Add("label", labelLab+"="+r.cfg.Lab)
}

func status(id masu.WorkspaceID, c *container.InspectResponse) masu.BoxStatus {
	l := c.Config.Labels
	s := masu.BoxStatus{
		ID:        id,
		Owner:     masu.Username(l[labelOwner]),
		Name:      l[labelName],
		State:     state(c.State),
		Image:     c.Image,
		StartedAt: when(c.State.StartedAt),
		EndedAt:   when(c.State.FinishedAt),
		ExitCode:  c.State.ExitCode,
		Spec:      l[labelSpec],
		Handle:    c.ID,
	}
	s.Run, _ = strconv.ParseBool(l[labelRun])
	for g := range strings.SplitSeq(l[labelGPUs], ",") {
		if g != "" {
			s.GPUs = append(s.GPUs, masu.GPUID(g))
		}
	}
	// The engine says OOMKilled also when only a child of the agent was ended.
	s.OOM = s.State == masu.BoxExited && c.State.OOMKilled && c.State.ExitCode == killedByKernel
	return s
}

func state(s *container.State) masu.BoxState {
	switch {
	case s.Paused:
		return masu.BoxPaused
	case s.Running:
		return masu.BoxRunning
	case s.Status == container.StateCreated:
		return masu.BoxCreated
	}
	return masu.BoxExited
}

func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 2000 { // the engine's "never" is the year 1
		return time.Time{}
	}
	return t
}

// Changes follows the engine's events. It begins with every box there is, for
// what happened before it could listen; see masu.Runner.
func (r *Runtime) Changes(ctx context.Context) iter.Seq2[masu.WorkspaceID, error] {
	return func(yield func(masu.WorkspaceID, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		// The engine answers a moment before it listens; it replays what that moment has cost.
		since := time.Now().Add(-10 * time.Second).Unix()
		stream := r.api.Events(ctx, client.EventsListOptions{
			Since: strconv.FormatInt(since, 10),
			Filters: client.Filters{}.Add("type", string(events.ContainerEventType)).
				Add("event", "create", "start", "die", "oom", "pause", "unpause", "destroy", "health_status"),
		})
		defer func() {
			cancel()
			for range stream.Err { // until its goroutine has gone
			}
		}()
		ids, err := r.ids(ctx)
		if err != nil && ctx.Err() == nil {
			yield("", err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
		for {
			select {
			case m := <-stream.Messages:
				id, ok := r.whose(m.Actor)
				if !ok {
					continue
				}
				r.forget(id)
				if !yield(id, nil) {
					return
				}
			case err := <-stream.Err:
				if ctx.Err() == nil {
					yield("", masu.E(masu.Unreachable, "engine_unreachable", r.api.DaemonHost()).Because(err))
				}
				return
			}
		}
	}
}

// whose tells which box an event is about: one of this lab's, or a container that
// nobody's masu has made, which may have been adopted.
func (r *Runtime) whose(a events.Actor) (masu.WorkspaceID, bool) {
	lab, labelled := a.Attributes[labelLab]
	if !labelled {
		return foreignOf(a.ID), len(a.ID) >= 32
	}
	id, name := masu.WorkspaceID(a.Attributes[labelWorkspace]), a.Attributes["name"]
	return id, lab == r.cfg.Lab && (name == boxName(id) || name == sideName(id, a.Attributes[labelSide]))
}

// running gives the container of a box that runs; NotFound "no_box", Conflict "box_not_running".
func (r *Runtime) running(ctx context.Context, id masu.WorkspaceID) (*container.InspectResponse, error) {
	c, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, masu.E(masu.NotFound, "no_box", id)
	}
	if !c.State.Running || c.State.Paused {
		return nil, masu.E(masu.Conflict, "box_not_running", c.Config.Labels[labelName])
	}
	return c, nil
}

// Logs copies what the box has printed, both its streams in the order in which
// the engine got them; NotFound "no_box".
func (r *Runtime) Logs(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	c, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	if c == nil {
		return masu.E(masu.NotFound, "no_box", id)
	}
	return r.logs(ctx, c.ID, w, follow)
}

func (r *Runtime) logs(ctx context.Context, container string, w io.Writer, follow bool) error {
	body, err := r.api.ContainerLogs(ctx, container, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow})
	if err != nil {
		return r.failed("logs", err)
	}
	defer body.Close()
	_, err = stdcopy.StdCopy(w, w, body)
	if follow && ctx.Err() != nil {
		return nil // the end that was asked for
	}
	return r.failed("logs", err)
}
