package docker

import (
	"context"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// boundDisk holds a box's disk limit on what the container, its box or one
// beside it, can write to: volumes, and of one just made the layer over its
// image. An older layer may have what cannot be given to a bound afterwards, and
// would then be refused renames within itself. What cannot be held is told to
// the log, and by doctor; the watermarks stay.
func (r *Runtime) boundDisk(ctx context.Context, b masu.Box, id string, fresh bool) {
	if !r.engine.bounds {
		return
	}
	c, err := r.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err == nil {
		err = r.cfg.Host.BoundDisk(ctx, b.ID, b.Limits.Disk, written(&c.Container, fresh)...)
	}
	if err != nil {
		r.cfg.Log.Warn("the disk limit is not held", "box", b.ID, "limit", b.Limits.Disk, "error", err)
	}
}

// written are the folders on the host that a container writes to and that are
// the engine's own. Where it does not say where the layer is, there is no limit on that.
func written(c *container.InspectResponse, layer bool) (dirs []string) {
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume {
			dirs = append(dirs, m.Source)
		}
	}
	if d := c.GraphDriver; layer && d != nil && d.Name == "overlay2" && d.Data["UpperDir"] != "" && d.Data["WorkDir"] != "" {
		dirs = append(dirs, d.Data["UpperDir"], d.Data["WorkDir"]) // the kernel makes files in the one and moves them to the other
	}
	return dirs
}

// diskBound tells how much of its limit a box has used; most is 0 where none is held.
func (r *Runtime) diskBound(id masu.WorkspaceID, c *container.InspectResponse) (used, most masu.Bytes) {
	if dirs := written(c, false); r.engine.bounds && len(dirs) > 0 {
		return r.cfg.Host.DiskBound(id, dirs[0])
	}
	return 0, 0
}
