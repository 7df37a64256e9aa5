package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Pull fetches an image from its registry; see masu.Builder. Besides, a
// registry that has had enough of us is Unreachable "registry_busy", and a
// full disk is Full "disk_full".
func (r *Runtime) Pull(ctx context.Context, ref masu.ImageRef, progress func(masu.Progress)) error {
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	if strings.HasPrefix(string(ref), "sha256:") {
		return masu.E(masu.NotFound, "no_image", ref) // an ID is known to no registry
	}
	res, err := r.api.ImagePull(ctx, string(ref), client.ImagePullOptions{})
	if err != nil {
		return r.pullEnd(ref, err)
	}
	defer res.Close()
	p := masu.Progress{Step: string(ref), Name: string(ref), State: masu.StepRunning}
	say := func() {
		p.At = time.Now()
		progress(p)
	}
	say()
	fold := layers{}
	for m, err := range res.JSONMessages(ctx) {
		if err == nil && m.Error != nil {
			err = m.Error
		}
		if err != nil {
			p.State = masu.StepFailed
			say()
			return r.pullEnd(ref, err)
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

// layers is how far each layer of a pull is.
type layers map[string][2]masu.Bytes

// take folds one message in and gives the sums. A layer's size is known when
// its download begins; unpacking is not counted again.
func (l layers) take(m jsonstream.Message) (current, total masu.Bytes) {
	switch m.Status {
	case "Downloading", "Pushing":
		if m.Progress != nil {
			l[m.ID] = [2]masu.Bytes{masu.Bytes(m.Progress.Current), max(masu.Bytes(m.Progress.Total), masu.Bytes(m.Progress.Current))}
		}
	case "Download complete", "Pull complete", "Pushed":
		if v, ok := l[m.ID]; ok {
			l[m.ID] = [2]masu.Bytes{v[1], v[1]}
		}
	}
	for _, v := range l {
		current += v[0]
		total += v[1]
	}
	return current, total
}

func (r *Runtime) pullEnd(ref masu.ImageRef, err error) error {
	if errors.Is(err, context.Canceled) || client.IsErrConnectionFailed(err) || isDiskFull(err.Error()) {
		return r.failed("pull", err)
	}
	if e := fetchTrouble(ref, err.Error()); e != nil {
		return e.Because(fmt.Errorf("docker: pull: %w", err))
	}
	return r.failed("pull", err)
}
