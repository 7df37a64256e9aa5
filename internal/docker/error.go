package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

func isNotFound(err error) bool { return cerrdefs.IsNotFound(err) }
func isConflict(err error) bool { return cerrdefs.IsConflict(err) }

// failed turns what the engine said into an error of masu's. What names the
// call, for the log.
func (r *Runtime) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*masu.Error](err); ok {
		return err
	}
	err = fmt.Errorf("docker: %s: %w", what, err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return masu.E(masu.Unreachable, "engine_unreachable", r.api.DaemonHost()).Because(err)
	}
	text := err.Error()
	switch {
	case client.IsErrConnectionFailed(err) && strings.Contains(text, "permission denied"):
		return masu.E(masu.Denied, "engine_denied", r.api.DaemonHost()).Because(err)
	case client.IsErrConnectionFailed(err):
		return masu.E(masu.Unreachable, "engine_unreachable", r.api.DaemonHost()).Because(err)
	case isDiskFull(text):
		return masu.E(masu.Full, "disk_full", r.engine.root).Because(err)
	}
	return err
}

// failedGPU is failed for the start of a box with GPUs, when the engine's
// words about its devices come.
func (r *Runtime) failedGPU(b masu.Box, err error) error {
	if e := gpuTrouble(b.GPUs, err.Error()); e != nil {
		return e.Because(err)
	}
	return r.failed("start", err)
}

func gpuTrouble(gpus []masu.GPUID, text string) *masu.Error {
	switch {
	case len(gpus) == 0:
		return nil
	case strings.Contains(text, "could not select device driver"):
		return masu.E(masu.Unreachable, "gpu_runtime_missing")
	case strings.Contains(text, "unresolvable CDI device"), strings.Contains(text, "unknown device"):
		return masu.E(masu.Unreachable, "gpu_missing", join(gpus))
	case strings.Contains(text, "nvidia-container-cli"), strings.Contains(text, "nvidia-container-runtime"):
		return masu.E(masu.Unreachable, "gpu_driver_broken")
	}
	return nil
}

func isDiskFull(text string) bool {
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded")
}

// fetchTrouble tells what a registry, or the way to it, has refused.
func fetchTrouble(ref masu.ImageRef, text string) *masu.Error {
	text = strings.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("toomanyrequests", "too many requests", "rate limit"):
		return masu.E(masu.Unreachable, "registry_busy", ref)
	case has("dial tcp", "dial udp", "lookup ", "no such host", "timeout", "connection refused", "connection reset",
		"network is unreachable", "no route to host", "x509", "tls:", "proxyconnect", "unexpected eof", "server misbehaving"):
		return masu.E(masu.Unreachable, "registry_unreachable", ref)
	case has("manifest unknown", "not found", "does not exist", "denied", "unauthorized", "authentication required",
		"name unknown", "no matching manifest", "invalid reference", "manifest for"):
		return masu.E(masu.NotFound, "no_image", ref)
	}
	return nil
}
