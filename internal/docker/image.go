package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Labels by which masu's images are known.
const (
	labelEnvironment = "masu.environment"
	labelBase        = "masu.base"
)

func (r *Runtime) inspectImage(ctx context.Context, ref masu.ImageRef) (client.ImageInspectResult, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	img, err := r.api.ImageInspect(ctx, string(ref))
	if isNotFound(err) {
		return img, masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	return img, r.failed("image", err)
}

// Image tells about an image that the engine has; NotFound "no_image" if it has not.
func (r *Runtime) Image(ctx context.Context, ref masu.ImageRef) (masu.Image, error) {
	res, err := r.inspectImage(ctx, ref)
	if err != nil {
		return masu.Image{}, err
	}
	used, err := r.usedImages(ctx)
	if err != nil {
		return masu.Image{}, err
	}
	img := masu.Image{ID: res.ID, Refs: refs(res.RepoTags), Size: masu.Bytes(res.Size), Created: when(res.Created), InUse: used[res.ID], Arch: res.Architecture}
	if res.Config != nil {
		img.Labels = res.Config.Labels
	}
	return img, nil
}

// Images lists the images that carry masu's labels, newest first.
func (r *Runtime) Images(ctx context.Context) ([]masu.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	used, err := r.usedImages(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]masu.Image{}
	for _, label := range []string{labelEnvironment, labelBase} { // the engine joins filters by "and"
		list, err := r.api.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", label)})
		if err != nil {
			return nil, r.failed("images", err)
		}
		for _, s := range list.Items {
			found[s.ID] = masu.Image{ID: s.ID, Refs: refs(s.RepoTags), Size: masu.Bytes(s.Size),
				Created: time.Unix(s.Created, 0), Labels: s.Labels, InUse: used[s.ID]}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b masu.Image) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	}), nil
}

// usedImages tells the IDs of the images that some container, whoever's, was made from.
func (r *Runtime) usedImages(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, r.failed("list", err)
	}
	used := map[string]bool{}
	for _, c := range list.Items {
		used[c.ImageID] = true
	}
	return used, nil
}

func refs(tags []string) []masu.ImageRef {
	var out []masu.ImageRef
	for _, t := range tags {
		if !strings.HasPrefix(t, "<none>") {
			out = append(out, masu.ImageRef(t))
		}
	}
	return out
}

// RemoveImage removes an image: by its ID under all its names, by a name only
// under that one. Conflict "image_in_use" if a box, or another image, needs it.
func (r *Runtime) RemoveImage(ctx context.Context, ref masu.ImageRef) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	img, err := r.Image(ctx, ref)
	if masu.CodeOf(err) == "no_image" {
		return nil
	}
	if err != nil {
		return err
	}
	if img.InUse {
		return masu.E(masu.Conflict, "image_in_use", ref)
	}
	names := []masu.ImageRef{ref}
	if strings.HasPrefix(img.ID, string(ref)) || strings.HasPrefix(strings.TrimPrefix(img.ID, "sha256:"), string(ref)) {
		if len(img.Refs) > 0 {
			names = img.Refs
		}
	}
	for _, name := range names {
		_, err := r.api.ImageRemove(ctx, string(name), client.ImageRemoveOptions{PruneChildren: true})
		switch {
		case err == nil || isNotFound(err):
		case isConflict(err):
			return masu.E(masu.Conflict, "image_in_use", ref).Because(err)
		default:
			return r.failed("remove image", err)
		}
	}
	return nil
}

// Import makes an image of a root file system's tar. An error of the reader is returned as it is.
func (r *Runtime) Import(ctx context.Context, ref masu.ImageRef, rootfs io.Reader, labels map[string]string) error {
	src := &remembering{Reader: rootfs}
	res, err := r.api.ImageImport(ctx, client.ImageImportSource{Source: src, SourceName: "-"}, string(ref), client.ImageImportOptions{Changes: labelChanges(labels)})
	if err == nil {
		defer res.Close()
		err = importEnd(res)
	}
	if srcErr := src.failure(); srcErr != nil {
		return srcErr
	}
	return r.failed("import", err)
}

// labelChanges are written as a Dockerfile would, in order.
func labelChanges(labels map[string]string) []string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", " ")
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, fmt.Sprintf(`LABEL "%s"="%s"`, quote.Replace(k), quote.Replace(labels[k])))
	}
	return out
}

func importEnd(body io.Reader) error {
	dec := json.NewDecoder(body)
	for {
		var m struct {
			Error string `json:"error"`
		}
		if err := dec.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}

// remembering keeps a reader's error, which the HTTP client would bury.
type remembering struct {
	io.Reader
	mu  sync.Mutex
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
	}
	return n, err
}

func (r *remembering) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
