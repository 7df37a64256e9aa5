package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// replaceGrace is what a running box gets to end when another one takes its place.
const replaceGrace = 10 * time.Second

var boxID = regexp.MustCompile(`^[a-z0-9]{1,40}$`) // it becomes part of paths and names

// Start makes the box's container and starts it; see masu.Runner. A start that
// fails leaves neither a container nor a staged folder behind. It fails with
// NotFound "no_image", Conflict "box_name_taken", Unreachable
// "gpu_runtime_missing", "gpu_missing" or "gpu_driver_broken", Full
// "disk_full", or what Host.Stage says about a folder.
func (r *Runtime) Start(ctx context.Context, b masu.Box) error {
	if _, ok := foreign(b.ID); ok || !boxID.MatchString(string(b.ID)) {
		return fmt.Errorf("docker: %q cannot be a box's ID", b.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	unlock, err := r.locks.lock(ctx, b.ID)
	if err != nil {
		return err
	}
	defer unlock()
	img, err := r.inspectImage(ctx, masu.ImageRef(b.Image))
	if err != nil {
		return err
	}
	old, err := r.find(ctx, b.ID)
	if err != nil {
		return err
	}
	if old != nil && old.State.Running && old.Image == img.ID && old.Config.Labels[labelSpec] == digest(b) { // what runs is left alone, also by a newer masu that would make it otherwise
		return r.unpause(ctx, old)
	}
	if err := r.ensureNetwork(ctx); err != nil {
		return err
	}
	if err := r.cfg.Host.Fence(ctx, bridgeName(r.cfg.Lab)); err != nil {
		r.cfg.Log.Warn("boxes can reach the host's own services", "error", err) // doctor tells the admin
	}
	if old != nil && old.State.Running {
		// Its folders are staged where the new ones will be.
		if err := r.stop(ctx, old.ID, replaceGrace); err != nil {
			return err
		}
	}
	if err := r.removeSides(ctx, b.ID); err != nil {
		return err
	}
	if !r.cfg.Host.Rootless() {
		if err := r.unstage(b.ID); err != nil {
			return err
		}
	}
	p := plan{box: b, wish: digest(b), lab: r.cfg.Lab, agent: r.cfg.Agent, proxy: r.cfg.Site.Proxy, imageID: img.ID, engine: r.engine}
	if img.Config != nil {
		p.image = img.Config.Env
	}
	if err := r.startSides(ctx, b); err != nil {
		return r.giveUp(ctx, b.ID, err)
	}
	if err := r.stage(&p); err != nil {
		return r.giveUp(ctx, b.ID, err)
	}
	if err := r.run(ctx, p, old); err != nil {
		return r.giveUp(ctx, b.ID, r.failedGPU(b, err))
	}
	r.forget(b.ID)
	return nil
}

// giveUp leaves nothing running of a start that failed, also when the caller has
// gone. Side boxes stay, stopped, for what they have printed.
func (r *Runtime) giveUp(ctx context.Context, id masu.WorkspaceID, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyUp)
	defer cancel()
	return errors.Join(why, r.stopSides(ctx, id, 0), r.clear(id))
}

// run starts old if it is what the plan would make, and a new container otherwise.
func (r *Runtime) run(ctx context.Context, p plan, old *container.InspectResponse) error {
	want := p.create()
	if old != nil {
		if p.made(old, want) {
			r.boundDisk(ctx, p.box, old.ID, false)
			err := r.begin(ctx, p.box, old.ID)
			if !isNotFound(err) {
				return err
			}
			// Somebody removed the network that it was connected to: it can never start again.
		}
		if err := r.remove(ctx, old.ID); err != nil {
			return err
		}
	}
	id, err := r.make(ctx, p, want)
	if masu.CodeOf(err) == "box_name_taken" {
		return err // not ours to discard
	}
	if err == nil {
		r.boundDisk(ctx, p.box, id, true)
		err = r.begin(ctx, p.box, id)
	}
	if err != nil {
		// The engine may have made it although the answer was lost.
		return errors.Join(err, r.discard(ctx, p.box.ID))
	}
	return nil
}

// begin starts a box's container, joined to its side boxes.
func (r *Runtime) begin(ctx context.Context, b masu.Box, container string) error {
	if len(b.Sides) > 0 {
		if err := r.join(ctx, b.ID, container, ""); err != nil {
			return err
		}
	}
	_, err := r.api.ContainerStart(ctx, container, client.ContainerStartOptions{})
	return err
}

// made tells whether a container is what the plan would make.
func (p plan) made(c *container.InspectResponse, want client.ContainerCreateOptions) bool {
	return c.Image == p.imageID && c.Config.Labels[labelForm] == want.Config.Labels[labelForm]
}

// make creates the container, or gives the equal one that somebody else has
// just made; Conflict "box_name_taken" for another one.
func (r *Runtime) make(ctx context.Context, p plan, want client.ContainerCreateOptions) (id string, err error) {
	const tries = 100
	for range tries {
		made, err := r.api.ContainerCreate(ctx, want)
		if !isConflict(err) {
			return made.ID, err
		}
		c, err := r.find(ctx, p.box.ID)
		switch {
		case err != nil:
			return "", err
		case c != nil && p.made(c, want):
			return c.ID, nil
		case c != nil:
			return "", masu.E(masu.Conflict, "box_name_taken", want.Name)
		}
		// The name is given away a moment before the container can be seen.
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", masu.E(masu.Conflict, "box_name_taken", want.Name)
}

// discard removes a box that did not come to life, also when the caller has gone.
func (r *Runtime) discard(ctx context.Context, id masu.WorkspaceID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyUp)
	defer cancel()
	c, err := r.find(ctx, id)
	if err != nil || c == nil {
		return err
	}
	return r.remove(ctx, c.ID)
}

func (r *Runtime) unpause(ctx context.Context, c *container.InspectResponse) error {
	if !c.State.Paused {
		return nil
	}
	_, err := r.api.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{})
	return r.failed("unpause", err)
}

// find gives the box's container, nil if there is none. One that bears the
// name without being this lab's is Conflict "box_name_taken".
func (r *Runtime) find(ctx context.Context, id masu.WorkspaceID) (*container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	name, lab, workspace := boxName(id), r.cfg.Lab, string(id)
	if handle, ok := foreign(id); ok {
		name, lab, workspace = handle, "", ""
	}
	res, err := r.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("inspect", err)
	}
	c := res.Container
	if c.Config.Labels[labelLab] != lab || c.Config.Labels[labelWorkspace] != workspace {
		return nil, masu.E(masu.Conflict, "box_name_taken", name)
	}
	return &c, nil
}

// stage makes the plan's folders safe to mount, and lowers its promise of sudo
// where a folder could not be ID-mapped: root in the box would be root there.
// That holds for datasets too, in which others may have files of their own.
func (r *Runtime) stage(p *plan) error {
	p.sources = make([]string, len(p.box.Mounts))
	if r.cfg.Host.Rootless() {
		return r.mountPlainly(p)
	}
	for i, m := range p.box.Mounts {
		if m.Folder == "" {
			p.sources[i] = m.Program
			continue
		}
		at := r.stagePath(p.box.ID, i)
		reason, err := r.cfg.Host.Stage(p.box.Owner, m.Folder, at, m.Dataset)
		if err != nil {
			return err
		}
		if reason != "" && p.box.Agent.Sudo {
			r.cfg.Log.Info("no sudo in box", "workspace", p.box.ID, "folder", m.Folder, "reason", reason)
			p.box.Agent.Sudo, p.box.Agent.NoSudo = false, r.say(p.box.Agent.Lang, reason)
		}
		p.sources[i] = at
	}
	return nil
}

// mountPlainly is stage for a masu that is one member's own.
func (r *Runtime) mountPlainly(p *plan) error {
	p.socket = r.socketDir(p.box.ID)
	for i, m := range p.box.Mounts {
		p.sources[i] = cmp.Or(m.Folder, m.Program)
		if m.Folder == "" || m.Dataset {
			continue
		}
		f, err := r.cfg.Host.OpenFolder(p.box.Owner, m.Folder)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("docker: %s: %w", m.Folder, err)
		}
	}
	return os.MkdirAll(p.socket, 0o700)
}

func (r *Runtime) say(lang masu.Lang, code string) string {
	if r.cfg.Say == nil {
		return code
	}
	return r.cfg.Say(lang, code)
}

// unstage never removes more than empty folders: what is mounted is a member's.
func (r *Runtime) unstage(id masu.WorkspaceID) error {
	dir := r.stageDir(id)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("docker: unstage: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if err := r.cfg.Host.Unstage(filepath.Join(dir, e.Name())); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}

// clear removes what a box that does not run needs no more of the host.
func (r *Runtime) clear(id masu.WorkspaceID) error {
	if r.cfg.Host.Rootless() {
		return os.RemoveAll(r.socketDir(id)) // the agent's socket and nothing else
	}
	return r.unstage(id)
}

// Stop asks the box to end and ends it after grace, which is rounded up to
// whole seconds; see masu.Runner.
func (r *Runtime) Stop(ctx context.Context, id masu.WorkspaceID, grace time.Duration) error {
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.find(ctx, id)
	if err != nil {
		return ignoreForeign(err)
	}
	if c != nil {
		if err := r.unpause(ctx, c); err != nil { // what is frozen cannot end itself
			return err
		}
		if c.State.Running {
			if err := r.stop(ctx, c.ID, grace); err != nil {
				return err
			}
		}
	}
	if err := r.stopSides(ctx, id, grace); err != nil || c == nil {
		return err
	}
	r.forget(id)
	return r.clear(id)
}

func (r *Runtime) stop(ctx context.Context, container string, grace time.Duration) error {
	seconds := int((grace + time.Second - 1) / time.Second)
	ctx, cancel := context.WithTimeout(ctx, grace+slow)
	defer cancel()
	_, err := r.api.ContainerStop(ctx, container, client.ContainerStopOptions{Timeout: &seconds})
	if isNotFound(err) {
		return nil
	}
	return r.failed("stop", err)
}

// Remove ends the box at once and removes it; see masu.Runner.
func (r *Runtime) Remove(ctx context.Context, id masu.WorkspaceID) error {
	if _, ok := foreign(id); ok {
		return fmt.Errorf("docker: %s is not masu's to remove", id)
	}
	unlock, err := r.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.find(ctx, id)
	if err != nil {
		return ignoreForeign(err)
	}
	if c != nil {
		if err := r.remove(ctx, c.ID); err != nil {
			return err
		}
	}
	if err := r.removeSides(ctx, id); err != nil {
		return err
	}
	r.forget(id)
	return r.clear(id)
}

// remove takes the anonymous volumes of the image's VOLUME lines along; named ones stay.
func (r *Runtime) remove(ctx context.Context, container string) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	_, err := r.api.ContainerRemove(ctx, container, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if isNotFound(err) {
		return nil
	}
	return r.failed("remove", err)
}

// ignoreForeign: a container that is not ours is, for Stop and Remove, no box at all.
func ignoreForeign(err error) error {
	if masu.CodeOf(err) == "box_name_taken" {
		return nil
	}
	return err
}

// Volumes names the volumes that were made for a box and its side boxes.
func (r *Runtime) Volumes(ctx context.Context, id masu.WorkspaceID) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	list, err := r.api.VolumeList(ctx, client.VolumeListOptions{Filters: r.mine().Add("label", labelWorkspace+"="+string(id))})
	if err != nil {
		return nil, r.failed("volumes", err)
	}
	var names []string
	for _, v := range list.Items {
		names = append(names, v.Name)
	}
	return names, nil
}

// RemoveVolume removes a volume that a box of this lab was given; it succeeds
// when there is none. One that a box still has is Conflict "volume_in_use";
// one that is not this lab's is Denied "volume_not_ours".
func (r *Runtime) RemoveVolume(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	v, err := r.api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return r.failed("volume", err)
	}
	if v.Volume.Labels[labelLab] != r.cfg.Lab {
		return masu.E(masu.Denied, "volume_not_ours", name)
	}
	_, err = r.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	switch {
	case isNotFound(err):
		return nil
	case isConflict(err):
		return masu.E(masu.Conflict, "volume_in_use", name).Because(err)
	}
	return r.failed("volume", err)
}
