package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// mayBuild refuses a new image to a member whose environments take as much as
// they may. One that is there already, whoever built it, is never refused.
func (l *Lab) mayBuild(ctx context.Context, owner masu.User) error {
	now, _ := l.limits(owner.Name)
	if now.Images == nil {
		return nil
	}
	most := *now.Images
	images, err := l.cfg.Runtime.Images(ctx)
	if err != nil {
		return err
	}
	all, err := l.everything(ctx)
	if err != nil {
		return err
	}
	if used := environments(owner, images, all); used >= most {
		return masu.E(masu.Full, "environments_full", used, most)
	}
	return nil
}

// environments adds up the images that a member's workspaces need and those that the
// member has loaded, each once. What nobody needs is for prune.
func environments(owner masu.User, images []masu.Image, all []masu.Workspace) (sum masu.Bytes) {
	for _, img := range images {
		needed := slices.ContainsFunc(all, func(w masu.Workspace) bool { return w.Owner == owner.Name && w.Image == img.ID })
		if needed || loadedBy(owner, img) {
			sum += img.Size
		}
	}
	return sum
}

// loadedBy tells whether a member has brought an image in.
func loadedBy(u masu.User, img masu.Image) bool {
	return called(img, fmt.Sprintf("masu/of-%d:", u.UID))
}

// loadedByOthers tells whether somebody else has brought an image in, and not the
// actor too. No build makes it again: it is thrown away by who did, or by an admin.
func (s *service) loadedByOthers(img masu.Image) bool {
	return !s.actor.Admin && called(img, "masu/of-") && !loadedBy(s.actor.User, img)
}

func called(img masu.Image, begin string) bool {
	return slices.ContainsFunc(img.Refs, func(r masu.ImageRef) bool { return strings.HasPrefix(string(r), begin) })
}
