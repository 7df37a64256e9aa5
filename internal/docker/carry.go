package docker

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/jsonstream"
	registrytypes "github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

const imageFileMost = 1 << 20

// ImageFile reads a file from a container of the image that is never started.
func (r *Runtime) ImageFile(ctx context.Context, ref masu.ImageRef, path string) ([]byte, error) {
	img, err := r.inspectImage(ctx, ref)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	c, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:     &container.Config{Image: img.ID, Cmd: []string{"/"}, Labels: map[string]string{"masu.look": r.cfg.Lab}},
		HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	if err != nil {
		return nil, r.failed("look into image", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyUp)
		defer cancel()
		if _, err := r.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !isNotFound(err) {
			r.cfg.Log.Warn("container left behind", "container", c.ID, "error", err)
		}
	}()
	res, err := r.api.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: path})
	if isNotFound(err) {
		return nil, masu.E(masu.NotFound, "image_no_record", ref)
	}
	if err != nil {
		return nil, r.failed("look into image", err)
	}
	defer res.Content.Close()
	archive := tar.NewReader(res.Content)
	h, err := archive.Next()
	if err != nil || h.Typeflag != tar.TypeReg || h.Size > imageFileMost {
		return nil, masu.E(masu.NotFound, "image_no_record", ref).Because(err)
	}
	b, err := io.ReadAll(io.LimitReader(archive, imageFileMost))
	return b, r.failed("look into image", err)
}

// Tag gives an image one more name, which another one may lose.
func (r *Runtime) Tag(ctx context.Context, ref, name masu.ImageRef) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	_, err := r.api.ImageTag(ctx, client.ImageTagOptions{Source: string(ref), Target: string(name)})
	if isNotFound(err) {
		return masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	return r.failed("tag", err)
}

// Save writes an image as the engine does, by its ID, so that the archive holds no name.
func (r *Runtime) Save(ctx context.Context, ref masu.ImageRef, w io.Writer) error {
	img, err := r.inspectImage(ctx, ref)
	if err != nil {
		return err
	}
	res, err := r.api.ImageSave(ctx, []string{img.ID})
	if err != nil {
		return r.failed("save", err)
	}
	defer res.Close()
	to := &remembered{Writer: w}
	_, err = io.Copy(to, res)
	if to.err != nil {
		return to.err
	}
	return r.failed("save", err)
}

// remembered keeps a writer's error apart from the reader's.
type remembered struct {
	io.Writer
	err error
}

// Write passes on.
func (w *remembered) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// Load hands an archive to the engine. An error of the reader is returned as it is.
func (r *Runtime) Load(ctx context.Context, archive io.Reader) error {
	src := &remembering{Reader: archive}
	res, err := r.api.ImageLoad(ctx, src, client.ImageLoadWithQuiet(true))
	if err == nil {
		defer res.Close()
		err = importEnd(res)
	}
	switch srcErr := src.failure(); {
	case srcErr != nil:
		return srcErr
	case err == nil:
		return nil
	case client.IsErrConnectionFailed(err) || isDiskFull(err.Error()) || ctx.Err() != nil:
		return r.failed("load", err)
	}
	return masu.E(masu.Invalid, "image_damaged").Because(fmt.Errorf("docker: load: %w", err))
}

// Push lends the image the registry's name while it is copied there.
func (r *Runtime) Push(ctx context.Context, ref, to masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	img, err := r.inspectImage(ctx, ref)
	if err != nil {
		return err
	}
	unlock, err := r.locks.lock(ctx, masu.WorkspaceID("push "+string(to))) // no workspace's ID has a blank
	if err != nil {
		return err
	}
	defer unlock()
	switch there, err := r.inspectImage(ctx, to); {
	case err == nil && there.ID != img.ID:
		return masu.E(masu.Conflict, "image_name_taken", to)
	case err != nil && masu.CodeOf(err) != "no_image":
		return err
	case err != nil:
		if err := r.Tag(ctx, ref, to); err != nil {
			return err
		}
		defer r.unname(ctx, string(to))
	}
	res, err := r.api.ImagePush(ctx, string(to), client.ImagePushOptions{RegistryAuth: encoded(to, auth)})
	if err != nil {
		return r.carried("push", to, err)
	}
	defer res.Close()
	return r.moved(ctx, "push", to, res.JSONMessages(ctx), progress)
}

// Fetch takes what the registry's name means now, by its digest, so that the
// engine's own names stay as they are.
func (r *Runtime) Fetch(ctx context.Context, ref, as masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	named, err := reference.ParseNormalizedNamed(string(ref))
	if err != nil {
		return masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	found, err := r.api.DistributionInspect(ctx, string(ref), client.DistributionInspectOptions{EncodedRegistryAuth: encoded(ref, auth)})
	if err != nil {
		return r.carried("fetch", ref, err)
	}
	exact := reference.TrimNamed(named).Name() + "@" + found.Descriptor.Digest.String()
	unlock, err := r.locks.lock(ctx, masu.WorkspaceID("fetch "+exact)) // no workspace's ID has a blank
	if err != nil {
		return err
	}
	defer unlock()
	_, err = r.inspectImage(ctx, masu.ImageRef(exact))
	here := err == nil
	res, err := r.api.ImagePull(ctx, exact, client.ImagePullOptions{RegistryAuth: encoded(ref, auth)})
	if err != nil {
		return r.carried("fetch", ref, err)
	}
	defer res.Close()
	if err := r.moved(ctx, "fetch", ref, res.JSONMessages(ctx), progress); err != nil {
		return err
	}
	if !here {
		defer r.unname(ctx, exact)
	}
	return r.Tag(ctx, masu.ImageRef(exact), as)
}

// unname takes a name away again, also when the one who asked has gone.
func (r *Runtime) unname(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyUp)
	defer cancel()
	if _, err := r.api.ImageRemove(ctx, name, client.ImageRemoveOptions{}); err != nil && !isNotFound(err) {
		r.cfg.Log.Warn("image name left behind", "name", name, "error", err)
	}
}

// moved tells how a copy goes, and how it ended.
func (r *Runtime) moved(ctx context.Context, what string, ref masu.ImageRef, messages iter.Seq2[jsonstream.Message, error], progress func(masu.Progress)) error {
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	p := masu.Progress{Step: string(ref), Name: string(ref), State: masu.StepRunning}
	say := func() {
		p.At = time.Now()
		progress(p)
	}
	say()
	fold := layers{}
	for m, err := range messages {
		if err == nil && m.Error != nil {
			err = m.Error
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			p.State = masu.StepFailed
			say()
			return r.carried(what, ref, err)
		}
		if current, total := fold.take(m); current != p.Current || total != p.Total {
			p.Current, p.Total = current, total
			say()
		}
	}
	p.State = masu.StepDone
	say()
	return nil
}

// carried is pullEnd for somebody who brings credentials, to whom a refusal is worth telling.
func (r *Runtime) carried(what string, ref masu.ImageRef, err error) error {
	text := strings.ToLower(err.Error())
	for _, word := range []string{"unauthorized", "denied", "authentication required", "no basic auth credentials", "forbidden"} {
		if !errors.Is(err, context.Canceled) && strings.Contains(text, word) {
			return masu.E(masu.Denied, "registry_denied", ref).Because(fmt.Errorf("docker: %s: %w", what, err))
		}
	}
	if strings.Contains(text, "server gave http response") {
		return masu.E(masu.Denied, "registry_plain", ref).Because(fmt.Errorf("docker: %s: %w", what, err))
	}
	return r.pullEnd(ref, err)
}

// encoded is how the engine takes credentials.
func encoded(ref masu.ImageRef, a masu.RegistryAuth) string {
	c := registrytypes.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.Token}
	if named, err := reference.ParseNormalizedNamed(string(ref)); err == nil {
		c.ServerAddress = reference.Domain(named)
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return base64.URLEncoding.EncodeToString(b)
}
