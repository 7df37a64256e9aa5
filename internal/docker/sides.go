package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Side boxes are containers beside a box's, with names and labels of the same
// kind. What goes out of them goes by the lab's bridge, as from any box; what
// goes between them and the box goes by a network of their own that leads
// nowhere (network.go). They are made anew at each start: what lasts is in volumes.

const (
	sidePIDs   = 1024
	sideTries  = 8 // how often the engine starts again one that fails
	sideWithin = 2 * time.Minute
	sideEvery  = 200 * time.Millisecond // how often it is asked whether it is well
	sideStands = time.Second            // what has no way to say that it is well must not fail for so long
)

// sideName is the container's name; an ID has no hyphen, so that no box's name is one.
func sideName(id masu.WorkspaceID, side string) string { return boxName(id) + "-" + side }

func sideNames(sides []masu.Side) []string {
	names := make([]string, len(sides))
	for i, s := range sides {
		names[i] = s.Name
	}
	return names
}

// createSide translates a side box to the engine's words.
func (p plan) createSide(s masu.Side) client.ContainerCreateOptions {
	own := false
	h := &container.HostConfig{
		NetworkMode:   container.NetworkMode(networkName(p.lab)),
		IpcMode:       container.IPCModePrivate,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: sideTries},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}},
		Mounts:        p.asked(false),
		Init:          &own,
		ShmSize:       int64(p.shm()),
		Resources:     p.resources(),
	}
	secure(h, false)
	name := sideName(p.box.ID, s.Name)
	c := &container.Config{
		Hostname:   name, // the engine lets others resolve it, on the lab's bridge too: not what it is called
		Env:        p.sideVariables(s),
		Entrypoint: s.Entrypoint,
		Cmd:        s.Command,
		WorkingDir: s.Dir,
		Image:      p.imageID,
		Labels: map[string]string{labelLab: p.lab, labelWorkspace: string(p.box.ID), labelOwner: string(p.box.Owner.Name),
			labelSide: s.Name, labelName: "", labelSpec: "", labelForm: "", labelSides: ""},
	}
	if len(s.Health) > 0 {
		c.Healthcheck = &container.HealthConfig{Test: append([]string{"CMD"}, s.Health...),
			Interval: 3 * time.Second, Timeout: 5 * time.Second, StartPeriod: sideWithin, Retries: 5}
	}
	return client.ContainerCreateOptions{Name: name, Config: c, HostConfig: h}
}

// sideVariables are its own, without those of the image by which it could take GPUs or the host's hooks in.
func (p plan) sideVariables(s masu.Side) []string {
	var env []string
	for _, kv := range p.image {
		if k, _, _ := strings.Cut(kv, "="); dangerous.MatchString(k) && k != "NVIDIA_VISIBLE_DEVICES" && k != "NVIDIA_DRIVER_CAPABILITIES" {
			env = append(env, k)
		}
	}
	env = append(env, gpuVariables(nil, "")...)
	all := map[string]string{}
	for k, v := range p.proxy {
		all[strings.ToLower(k)], all[strings.ToUpper(k)] = v, v
	}
	if _, set := all["no_proxy"]; len(all) > 0 && !set { // its neighbours are no business of a proxy's
		names := strings.Join(append([]string{"localhost", "127.0.0.1"}, sideNames(p.box.Sides)...), ",")
		all["no_proxy"], all["NO_PROXY"] = names, names
	}
	maps.Copy(all, s.Variables)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		env = append(env, k+"="+all[k])
	}
	return env
}

// startSides makes a box's side boxes anew and waits until each is ready.
func (r *Runtime) startSides(ctx context.Context, b masu.Box) error {
	if len(b.Sides) == 0 {
		return nil
	}
	if err := r.ensureInner(ctx, b); err != nil {
		return err
	}
	return each(b.Sides, func(s masu.Side) error {
		err := r.startSide(ctx, b, s)
		if err == nil {
			err = r.sideReady(ctx, b.ID, s.Name)
		}
		return r.failed("start "+s.Name, err)
	})
}

func (r *Runtime) startSide(ctx context.Context, b masu.Box, s masu.Side) error {
	img, err := r.inspectImage(ctx, masu.ImageRef(s.Image))
	if err != nil {
		return err
	}
	own := masu.Box{ID: b.ID, Owner: b.Owner, Sides: b.Sides, Mounts: s.Mounts, Limits: s.Limits}
	own.Limits.PIDs = cmp.Or(s.Limits.PIDs, sidePIDs)
	p := plan{box: own, lab: r.cfg.Lab, proxy: r.cfg.Site.Proxy, imageID: img.ID, engine: r.engine}
	if img.Config != nil {
		p.image = img.Config.Env
	}
	if err := r.stageSide(&p, s.Name); err != nil {
		return err
	}
	made, err := r.api.ContainerCreate(ctx, p.createSide(s))
	if isConflict(err) {
		return masu.E(masu.Conflict, "box_name_taken", sideName(b.ID, s.Name))
	}
	if err != nil {
		return err
	}
	if err := r.join(ctx, b.ID, made.ID, s.Name); err != nil {
		return err
	}
	r.boundDisk(ctx, b, made.ID, true)
	_, err = r.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	return err
}

// stageSide makes its folders safe to mount. Where ids cannot be mapped there
// is no safe way: its first process is root, and must not be root there.
func (r *Runtime) stageSide(p *plan, side string) error {
	p.sources = make([]string, len(p.box.Mounts))
	for i, m := range p.box.Mounts {
		if m.Folder == "" {
			continue
		}
		if r.cfg.Host.Rootless() {
			f, err := r.cfg.Host.OpenFolder(p.box.Owner, m.Folder)
			if err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("docker: %s: %w", m.Folder, err)
			}
			p.sources[i] = m.Folder
			continue
		}
		at := r.stagePath(p.box.ID, i) + "-" + side
		reason, err := r.cfg.Host.Stage(p.box.Owner, m.Folder, at, false)
		if err != nil {
			return err
		}
		if reason != "" {
			return masu.E(masu.Denied, "side_folder", side, m.Folder)
		}
		p.sources[i] = at
	}
	return nil
}

// sideReady waits until a side box that was started is well.
func (r *Runtime) sideReady(ctx context.Context, id masu.WorkspaceID, side string) error {
	wait, cancel := context.WithTimeout(ctx, sideWithin)
	defer cancel()
	begun := time.Now()
	for {
		c, err := r.findSide(wait, id, side)
		if err != nil && wait.Err() == nil {
			return err
		}
		if err == nil {
			switch s := sideStatus(side, c); {
			case s.State == masu.SideReady && (c.State.Health != nil || s.Restarts == 0 && time.Since(begun) >= sideStands):
				return nil
			case s.State == masu.SideEnded, s.Restarts >= 3:
				return masu.E(masu.Conflict, "side_died", side, cmp.Or(s.ExitCode, c.State.ExitCode), r.lastWords(ctx, c))
			}
		}
		select {
		case <-wait.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if c == nil {
				return masu.E(masu.Unreachable, "engine_unreachable", r.api.DaemonHost()).Because(err)
			}
			return masu.E(masu.Unreachable, "side_unready", side, r.lastWords(ctx, c))
		case <-time.After(sideEvery):
		}
	}
}

// lastWords is what a side box said last, of its health or at all, on one line and without power over a terminal.
func (r *Runtime) lastWords(ctx context.Context, c *container.InspectResponse) string {
	var out bytes.Buffer
	if body, err := r.api.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "3"}); err == nil {
		_, _ = stdcopy.StdCopy(&out, &out, io.LimitReader(body, 64<<10)) // what could be read is enough
		_ = body.Close()
	}
	if h := c.State.Health; out.Len() == 0 && h != nil && len(h.Log) > 0 {
		out.WriteString(h.Log[len(h.Log)-1].Output)
	}
	words := strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(out.String(), "?"))), " ")
	if r := []rune(words); len(r) > 300 {
		words = "…" + string(r[len(r)-300:])
	}
	return words
}

// findSide gives a side box's container; NotFound "no_side".
func (r *Runtime) findSide(ctx context.Context, id masu.WorkspaceID, side string) (*container.InspectResponse, error) {
	if !masu.ValidSideName(side) { // it becomes part of a path
		return nil, masu.E(masu.NotFound, "no_side", side)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	res, err := r.api.ContainerInspect(ctx, sideName(id, side), client.ContainerInspectOptions{})
	if isNotFound(err) {
		return nil, masu.E(masu.NotFound, "no_side", side)
	}
	if err != nil {
		return nil, r.failed("inspect", err)
	}
	l := res.Container.Config.Labels
	if l[labelLab] != r.cfg.Lab || l[labelWorkspace] != string(id) || l[labelSide] != side {
		return nil, masu.E(masu.NotFound, "no_side", side)
	}
	return &res.Container, nil
}

// sideStatuses tells how the side boxes of a box stand. One that is not there has ended.
func (r *Runtime) sideStatuses(ctx context.Context, id masu.WorkspaceID, box *container.InspectResponse) (all []masu.SideStatus, err error) {
	for name := range strings.SplitSeq(box.Config.Labels[labelSides], ",") {
		if name == "" {
			continue
		}
		s := masu.SideStatus{Name: name, State: masu.SideEnded}
		c, err := r.findSide(ctx, id, name)
		if err == nil {
			s = sideStatus(name, c)
		} else if masu.CodeOf(err) != "no_side" {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func sideStatus(name string, c *container.InspectResponse) masu.SideStatus {
	s := masu.SideStatus{Name: name, Restarts: c.RestartCount}
	health := container.NoHealthcheck
	if c.State.Health != nil {
		health = c.State.Health.Status
	}
	switch {
	case c.State.Restarting:
		s.State = masu.SideStarting
	case !c.State.Running:
		s.State, s.ExitCode, s.OOM = masu.SideEnded, c.State.ExitCode, c.State.OOMKilled
	case health == container.Starting:
		s.State = masu.SideStarting
	case health == container.Unhealthy:
		s.State = masu.SideUnwell
	default:
		s.State = masu.SideReady
	}
	return s
}

// SideLogs copies what a side box has printed; see masu.Runner.
func (r *Runtime) SideLogs(ctx context.Context, id masu.WorkspaceID, side string, w io.Writer, follow bool) error {
	c, err := r.findSide(ctx, id, side)
	if err != nil {
		return err
	}
	return r.logs(ctx, c.ID, w, follow)
}

// sidesOf lists the containers of a workspace's side boxes, whatever their box says of them.
func (r *Runtime) sidesOf(ctx context.Context, f client.Filters) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: f.Add("label", labelSide)})
	if err != nil {
		return nil, r.failed("list", err)
	}
	return slices.DeleteFunc(list.Items, func(c container.Summary) bool { // an image may carry our labels, but not the name
		return !slices.Contains(c.Names, "/"+sideName(masu.WorkspaceID(c.Labels[labelWorkspace]), c.Labels[labelSide]))
	}), nil
}

func (r *Runtime) ofBox(id masu.WorkspaceID) client.Filters {
	return r.mine().Add("label", labelWorkspace+"="+string(id))
}

// stopSides ends a box's side boxes and takes their network away, so that it is
// free for others. The box, which is stopped, is no longer of it.
func (r *Runtime) stopSides(ctx context.Context, id masu.WorkspaceID, grace time.Duration) error {
	list, err := r.sidesOf(ctx, r.ofBox(id))
	if err != nil {
		return err
	}
	if err := each(list, func(c container.Summary) error {
		if c.State == container.StateExited || c.State == container.StateCreated {
			return nil
		}
		return r.stop(ctx, c.ID, grace)
	}); err != nil {
		return err
	}
	return r.removeInner(ctx, id)
}

// removeSides ends a box's side boxes at once and removes them; named volumes stay.
func (r *Runtime) removeSides(ctx context.Context, id masu.WorkspaceID) error {
	list, err := r.sidesOf(ctx, r.ofBox(id))
	if err != nil {
		return err
	}
	if err := each(list, func(c container.Summary) error { return r.remove(ctx, c.ID) }); err != nil {
		return err
	}
	return r.removeInner(ctx, id)
}

// sweepSides ends the side boxes that a masu which was killed has started for a box that never came.
func (r *Runtime) sweepSides(ctx context.Context) error {
	list, err := r.sidesOf(ctx, r.mine())
	if err != nil {
		return err
	}
	looked := map[masu.WorkspaceID]bool{}
	for _, s := range list {
		id := masu.WorkspaceID(s.Labels[labelWorkspace])
		if looked[id] {
			continue
		}
		looked[id] = true
		box, err := r.find(ctx, id)
		if err == nil && (box == nil || !box.State.Running) {
			err = r.stopSides(ctx, id, replaceGrace)
		}
		if err != nil {
			r.cfg.Log.Warn("side boxes left behind", "workspace", id, "err", err)
		}
	}
	return nil
}

// each does something to all of a few things at once.
func each[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, one := range list {
		wg.Go(func() { errs[i] = do(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
