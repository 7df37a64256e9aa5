package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

func networkName(lab string) string { return "masu-" + lab }

// innerName is the network of a box and its side boxes.
func innerName(id masu.WorkspaceID) string { return "masu-" + string(id) }

// bridgeName is a network's interface on the host: a name that firewall rules
// may rely on, of the at most 15 characters that the kernel takes.
func bridgeName(of string) string {
	sum := sha256.Sum256([]byte(of))
	return masu.BridgePrefix + hex.EncodeToString(sum[:])[:10]
}

// ensureNetwork makes the lab's bridge, on which boxes reach the world but not each other.
func (r *Runtime) ensureNetwork(ctx context.Context) error {
	return r.makeNetwork(ctx, networkName(r.cfg.Lab), client.NetworkCreateOptions{
		Driver: "bridge",
		Labels: map[string]string{labelLab: r.cfg.Lab},
		Options: map[string]string{
			"com.docker.network.bridge.enable_icc": "false",
			"com.docker.network.bridge.name":       bridgeName(r.cfg.Lab),
		},
	})
}

// ensureInner makes the network on which a box and its side boxes reach each
// other and nothing else. It is there while they run: an engine has room for
// about thirty.
func (r *Runtime) ensureInner(ctx context.Context, b masu.Box) error {
	bridge := bridgeName(string(b.ID))
	err := r.makeNetwork(ctx, innerName(b.ID), client.NetworkCreateOptions{
		Driver:   "bridge",
		Internal: true,
		Labels:   map[string]string{labelLab: r.cfg.Lab, labelWorkspace: string(b.ID), labelOwner: string(b.Owner.Name)},
		Options:  map[string]string{"com.docker.network.bridge.name": bridge},
	})
	if err != nil {
		return err
	}
	if err := r.cfg.Host.FenceInner(ctx, bridge); err != nil {
		r.cfg.Log.Warn("accounts of the host can reach side boxes", "workspace", b.ID, "error", err)
	}
	return nil
}

func (r *Runtime) makeNetwork(ctx context.Context, name string, o client.NetworkCreateOptions) error {
	r.netMu.Lock()
	defer r.netMu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	_, err := r.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if !isNotFound(err) {
		return r.failed("network", err)
	}
	_, err = r.api.NetworkCreate(ctx, name, o)
	switch {
	case isConflict(err):
		return nil
	case err != nil && (strings.Contains(err.Error(), "address pools") || strings.Contains(err.Error(), "non-overlapping")):
		return masu.E(masu.Full, "sides_full").Because(err)
	}
	return r.failed("network", err)
}

// join connects a container to the network of its box; a side box is known there by its name.
func (r *Runtime) join(ctx context.Context, id masu.WorkspaceID, container, side string) error {
	end := &network.EndpointSettings{}
	if side != "" {
		end.Aliases = []string{side}
	}
	_, err := r.api.NetworkConnect(ctx, innerName(id), client.NetworkConnectOptions{Container: container, EndpointConfig: end})
	return r.failed("connect", err)
}

// removeInner takes a box's own network away, and what keeps its accounts out;
// the box's container, which stays, must not look for it when it starts again.
func (r *Runtime) removeInner(ctx context.Context, id masu.WorkspaceID) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	name := innerName(id)
	box, err := r.find(ctx, id)
	if err != nil {
		return ignoreForeign(err)
	}
	if box != nil && box.NetworkSettings != nil && box.NetworkSettings.Networks[name] != nil {
		_, err := r.api.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: box.ID, Force: true})
		if err != nil && !isNotFound(err) {
			return r.failed("disconnect", err)
		}
	}
	net, err := r.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return r.failed("network", err)
	}
	if l := net.Network.Labels; l[labelLab] != r.cfg.Lab || l[labelWorkspace] != string(id) {
		return nil // not ours
	}
	if _, err := r.api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{}); err != nil && !isNotFound(err) {
		return r.failed("remove network", err)
	}
	if err := r.cfg.Host.Unfence(ctx, bridgeName(string(id))); err != nil {
		r.cfg.Log.Warn("rules of a bridge that is gone", "workspace", id, "error", err)
	}
	return nil
}
