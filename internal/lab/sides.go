package lab

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// sideMemory is what a side box may take unless it is said.
const sideMemory = 4 * masu.GiB

// sideVolume is the volume of a workspace's that a side box calls name.
func sideVolume(id masu.WorkspaceID, name string) string {
	return "masu-vol-" + string(id) + "-" + name
}

// sideImages makes sure that the images of a project's side boxes are there, and gives their IDs by side box.
func (l *Lab) sideImages(ctx context.Context, wish imageWish, tell func(masu.Progress)) (map[string]string, error) {
	ids := map[string]string{}
	for _, s := range wish.project.Sides {
		ref := s.Image
		if s.Build != nil {
			var err error
			of := wish
			of.project = masu.Project{Dir: wish.project.Dir, Environment: *s.Build}
			if ref, err = l.ownImage(ctx, of, tell); err != nil {
				return nil, err
			}
		}
		img, err := l.base(ctx, ref, tell)
		if err != nil {
			return nil, err
		}
		ids[s.Name] = img.ID
	}
	return ids, nil
}

// sides says what the runtime is to run beside a workspace's box.
func (l *Lab) sides(id masu.WorkspaceID, owner masu.Username, p masu.Project, images map[string]string) []masu.Side {
	var all []masu.Side
	for _, s := range p.Sides {
		side := masu.Side{Name: s.Name, Image: images[s.Name], Entrypoint: s.Entrypoint, Command: s.Command, Dir: s.Dir,
			Variables: s.Variables, Health: s.Health, Limits: s.Limits}
		side.Limits.Memory = cmp.Or(s.Limits.Memory, sideMemory)
		side.Limits = bounded(side.Limits, l.ceiling(owner))
		for _, v := range s.Volumes {
			m := masu.Mount{Target: v.Target, ReadOnly: v.ReadOnly}
			if v.Name != "" {
				m.Volume = sideVolume(id, v.Name)
			} else {
				m.Folder = path.Join(p.Dir, v.Folder)
			}
			side.Mounts = append(side.Mounts, m)
		}
		all = append(all, side)
	}
	together(all, l.ceiling(owner))
	return all
}

// together keeps the side boxes of a workspace within what the house rules give
// one box: where they could take more than that in all, each gets its share.
func together(sides []masu.Side, ceiling masu.Limits) {
	var cpus, memory float64
	for _, s := range sides {
		cpus += s.Limits.CPUs
		memory += float64(s.Limits.Memory)
	}
	for i := range sides {
		limits := &sides[i].Limits
		if most := ceiling.CPUs; most > 0 && cpus > most {
			limits.CPUs *= most / cpus
		}
		if most := float64(ceiling.Memory); most > 0 && memory > most {
			limits.Memory = masu.Bytes(float64(limits.Memory) * most / memory)
			limits.Shm = min(limits.Shm, limits.Memory)
		}
	}
}

// saySides tells which side boxes are waited for.
func saySides(p masu.Project, says *journal) {
	var names []string
	for _, s := range p.Sides {
		names = append(names, s.Name)
	}
	if len(names) > 0 {
		says.say("sides_start", strings.Join(names, ", "))
	}
}

// sidesNow keeps how the side boxes of a workspace that runs stand, if it is news.
func (l *Lab) sidesNow(ctx context.Context, w masu.Workspace, b masu.BoxStatus) error {
	if w.Phase != masu.Running || slices.Equal(w.Sides, b.Sides) {
		return nil
	}
	_, err := l.update(ctx, w.ID, func(w *masu.Workspace) {
		if w.Phase == masu.Running { // it may have ended since the runtime was asked
			w.Sides = b.Sides
		}
	})
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return nil
	}
	return err
}

// sidesRun tells whether a box has left something running beside it.
func sidesRun(b masu.BoxStatus) bool {
	return slices.ContainsFunc(b.Sides, func(s masu.SideStatus) bool { return s.State != masu.SideEnded })
}

// removeVolumes deletes the home of a workspace that is removed, and what its side boxes kept.
func (l *Lab) removeVolumes(ctx context.Context, id masu.WorkspaceID) error {
	names, err := l.cfg.Runtime.Volumes(ctx, id)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range append(names, homeVolume(id)) {
		errs = append(errs, l.cfg.Runtime.RemoveVolume(ctx, name))
	}
	return errors.Join(errs...)
}
