package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/buildkit"
)

// Build makes an image with the engine's own BuildKit; see masu.Builder. It
// fails with Invalid "build_failed" (step, name, exit code),
// "build_step_refused" (step, name, why), "dockerfile_invalid" (line, why),
// "dockerfile_frontend" (image) or "build_refused" (why); NotFound "no_image"
// when the base is neither here nor to be had; Full "disk_full"; Cancelled
// "build_stopped".
func (r *Runtime) Build(ctx context.Context, b masu.BuildRequest, progress func(masu.Progress)) (string, error) {
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	if err := r.cfg.Host.BoundBuilds(); err != nil {
		r.cfg.Log.Warn("builds have no limits", "error", err)
	}
	src := buildkit.NewContext(b.Files)
	steps := buildkit.NewSteps(progress)
	id, words, err := r.build(ctx, src, b, steps)
	srcErr := src.Close()
	switch {
	case ctx.Err() != nil:
		return "", masu.E(masu.Cancelled, "build_stopped").Because(context.Cause(ctx))
	case srcErr != nil:
		return "", srcErr
	case err != nil:
		return "", err
	case words != "" && (isDiskFull(words) || steps.DiskFull()):
		return "", masu.E(masu.Full, "disk_full", r.engine.root).Because(errors.New(words))
	case words != "":
		return "", steps.Trouble(words).Because(errors.New(words))
	}
	src.TellLeft(progress)
	return id, nil
}

// build gives the image's ID, or the words with which the engine ended the build.
func (r *Runtime) build(ctx context.Context, src io.Reader, b masu.BuildRequest, steps *buildkit.Steps) (id, words string, err error) {
	res, err := r.api.ImageBuild(ctx, src, r.buildOptions(b))
	if client.IsErrConnectionFailed(err) {
		return "", "", r.failed("build", err)
	}
	if err != nil {
		return "", daemonWords(err), nil
	}
	defer res.Body.Close()
	id, words, err = follow(res.Body, steps)
	if err != nil {
		return "", "", masu.E(masu.Unreachable, "engine_unreachable", r.api.DaemonHost()).Because(err)
	}
	if id == "" && words == "" { // engines that keep images in containerd may not say it
		img, err := r.inspectImage(ctx, b.Ref)
		return img.ID, "", err
	}
	return id, words, nil
}

// daemonWords is what the engine said, without the client's preface.
func daemonWords(err error) string {
	return strings.TrimPrefix(err.Error(), "Error response from daemon: ")
}

func (r *Runtime) buildOptions(b masu.BuildRequest) client.ImageBuildOptions {
	args := map[string]*string{}
	for k, v := range r.cfg.Site.Proxy { // these names are known to every Dockerfile and are no part of the cache's key
		args[strings.ToLower(k)], args[strings.ToUpper(k)] = &v, &v
	}
	for k, v := range b.Args {
		args[k] = &v
	}
	o := client.ImageBuildOptions{
		Version:    build.BuilderBuildKit,
		Dockerfile: b.Dockerfile,
		Target:     b.Target,
		BuildArgs:  args,
		Labels:     maps.Clone(b.Labels),
		NoCache:    b.NoCache,
		Remove:     true,
	}
	if b.Ref != "" {
		o.Tags = []string{string(b.Ref)}
	}
	return o
}

// follow reads the engine's answer to its end: the image's ID, or the words with which it failed.
func follow(body io.Reader, steps *buildkit.Steps) (id, words string, err error) {
	dec := json.NewDecoder(body)
	for {
		var m struct {
			ID    string          `json:"id"`
			Aux   json.RawMessage `json:"aux"`
			Error string          `json:"error"`
		}
		if err := dec.Decode(&m); err == io.EOF {
			return id, words, nil
		} else if err != nil {
			return "", "", fmt.Errorf("build: read the engine's answer: %w", err)
		}
		switch {
		case m.Error != "":
			words = m.Error
		case m.ID == "moby.buildkit.trace":
			var raw []byte
			if err := json.Unmarshal(m.Aux, &raw); err != nil {
				return "", "", fmt.Errorf("build: trace: %w", err)
			}
			t, err := buildkit.DecodeTrace(raw)
			if err != nil {
				return "", "", fmt.Errorf("build: trace: %w", err)
			}
			steps.Take(t)
		case m.ID == "moby.image.id":
			var aux struct{ ID string }
			if err := json.Unmarshal(m.Aux, &aux); err != nil {
				return "", "", fmt.Errorf("build: image ID: %w", err)
			}
			id = aux.ID
		}
	}
}
