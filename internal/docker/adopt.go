package docker

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// A container that masu did not make is known by the beginning of its own ID:
// it bears neither our name nor our labels, and nothing needs to be remembered.
const foreignPrefix = "ctr"

var foreignID = regexp.MustCompile(`^` + foreignPrefix + `([0-9a-f]{32})$`)

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

var _ masu.Adopter = (*Runtime)(nil)

// foreignOf is the ID of a container that masu did not make; "" for what is no container's.
func foreignOf(container string) masu.WorkspaceID {
	if len(container) < 32 {
		return ""
	}
	return masu.WorkspaceID(foreignPrefix + container[:32])
}

// foreign gives the engine's name for a container that masu did not make.
func foreign(id masu.WorkspaceID) (handle string, ok bool) {
	if m := foreignID.FindStringSubmatch(string(id)); m != nil {
		return m[1], true
	}
	return "", false
}

// Foreign finds a container that masu did not make; see masu.Adopter.
func (r *Runtime) Foreign(ctx context.Context, name string) (masu.Foreign, error) {
	if handle, ok := foreign(masu.WorkspaceID(name)); ok {
		name = handle
	}
	if !containerName.MatchString(name) { // it becomes part of a path
		return masu.Foreign{}, masu.E(masu.NotFound, "no_container", name)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	res, err := r.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if isNotFound(err) {
		return masu.Foreign{}, masu.E(masu.NotFound, "no_container", name)
	}
	if err != nil {
		return masu.Foreign{}, r.failed("inspect", err)
	}
	c := res.Container
	if c.Config.Labels[labelLab] != "" {
		return masu.Foreign{}, masu.E(masu.Conflict, "adopt_own", name)
	}
	f := masu.Foreign{
		ID: foreignOf(c.ID), Name: strings.TrimPrefix(c.Name, "/"), Image: c.Image, GPUs: wantsGPUs(c),
		State: state(c.State), StartedAt: when(c.State.StartedAt), ExitCode: c.State.ExitCode,
	}
	mode := c.HostConfig.NetworkMode
	f.Shared = mode.IsHost() || mode.IsContainer() || mode.IsNone()
	f.OOM = f.State == masu.BoxExited && c.State.OOMKilled && c.State.ExitCode == killedByKernel
	return f, nil
}

const killedByKernel = 137

// wantsGPUs tells which GPUs a container was made with, as it was asked for.
func wantsGPUs(c container.InspectResponse) (gpus []string) {
	for _, d := range c.HostConfig.DeviceRequests {
		gpus = append(gpus, d.DeviceIDs...)
		if d.Count < 0 {
			gpus = append(gpus, "all")
		}
		for i := range d.Count { // a count always means the first ones
			gpus = append(gpus, strconv.Itoa(i))
		}
	}
	if c.HostConfig.Runtime == "nvidia" {
		for _, kv := range c.Config.Env {
			if said, ok := strings.CutPrefix(kv, "NVIDIA_VISIBLE_DEVICES="); ok && said != "void" && said != "none" && said != "" {
				gpus = append(gpus, strings.Split(said, ",")...)
			}
		}
	}
	return gpus
}

// Wake starts a container that masu did not make.
func (r *Runtime) Wake(ctx context.Context, id masu.WorkspaceID) error {
	handle, ok := foreign(id)
	if !ok {
		return masu.E(masu.NotFound, "no_container", id)
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	r.forget(id)
	_, err := r.api.ContainerStart(ctx, handle, client.ContainerStartOptions{})
	if isNotFound(err) {
		return masu.E(masu.NotFound, "no_container", handle)
	}
	return r.failed("start", err)
}
