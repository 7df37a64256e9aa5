package docker

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/gauge"
)

const (
	// haulImage has nothing in it: its containers never run, and only hold a volume for the engine's own copying.
	haulImage  = masu.ImageRef("masu/empty:1")
	haulTarget = "/volume"
)

var _ masu.Hauler = (*Runtime)(nil)

// PackVolume has the engine write what a volume holds; see masu.Hauler.
func (r *Runtime) PackVolume(ctx context.Context, v masu.Volume, tar io.Writer) error {
	if _, err := r.volume(ctx, v.Name); err != nil {
		return err
	}
	return r.holding(ctx, v.Name, true, func(container string) error {
		res, err := r.api.CopyFromContainer(ctx, container, client.CopyFromContainerOptions{SourcePath: haulTarget + "/."})
		if err != nil {
			return r.failed("pack volume", err)
		}
		defer res.Content.Close()
		to := &remembered{Writer: tar}
		if _, err = io.Copy(to, res.Content); to.err != nil {
			return to.err
		}
		return r.failed("pack volume", err)
	})
}

// UnpackVolume makes a volume anew and has the engine fill it; see
// masu.Hauler. One that a box still has is Conflict "volume_in_use".
func (r *Runtime) UnpackVolume(ctx context.Context, v masu.Volume, tar io.Reader) error {
	if err := r.RemoveVolume(ctx, v.Name); err != nil {
		return err
	}
	if _, err := r.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Name,
		Labels: map[string]string{labelLab: r.cfg.Lab, labelWorkspace: string(v.Of)}}); err != nil {
		return r.failed("volume", err)
	}
	return r.holding(ctx, v.Name, false, func(container string) error {
		src := &remembering{Reader: tar}
		_, err := r.api.CopyToContainer(ctx, container, client.CopyToContainerOptions{DestinationPath: haulTarget, Content: src})
		if srcErr := src.failure(); srcErr != nil {
			return srcErr
		}
		return r.failed("unpack volume", err)
	})
}

// VolumeSize tells what a volume takes on the disk; NotFound "no_volume", Denied "disk_unseen".
func (r *Runtime) VolumeSize(ctx context.Context, name string) (masu.Bytes, error) {
	v, err := r.volume(ctx, name)
	if err != nil {
		return 0, err
	}
	used, err := gauge.Disk(ctx, v.Mountpoint)
	if err != nil {
		return 0, masu.E(masu.Denied, "disk_unseen", name).Because(err)
	}
	return used, nil
}

// volume finds one of this lab's.
func (r *Runtime) volume(ctx context.Context, name string) (volume.Volume, error) {
	v, err := r.api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if isNotFound(err) {
		return volume.Volume{}, masu.E(masu.NotFound, "no_volume", name)
	}
	if err == nil && v.Volume.Labels[labelLab] != r.cfg.Lab {
		return volume.Volume{}, masu.E(masu.Denied, "volume_not_ours", name)
	}
	return v.Volume, r.failed("volume", err)
}

// holding does something with a container that has a volume and is never started.
func (r *Runtime) holding(ctx context.Context, name string, readOnly bool, do func(container string) error) (err error) {
	if _, err := r.inspectImage(ctx, haulImage); masu.CodeOf(err) == "no_image" {
		if err := r.Import(ctx, haulImage, bytes.NewReader(make([]byte, 1024)), nil); err != nil { // a tar's end
			return err
		}
	}
	c, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: string(haulImage), Cmd: []string{"never"}, Labels: map[string]string{"masu.look": r.cfg.Lab}},
		HostConfig: &container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: haulTarget,
			ReadOnly: readOnly, VolumeOptions: &mount.VolumeOptions{NoCopy: true}}}},
	})
	if err != nil {
		return r.failed("hold volume", err)
	}
	defer func() { err = errors.Join(err, r.remove(context.WithoutCancel(ctx), c.ID)) }()
	return do(c.ID)
}
