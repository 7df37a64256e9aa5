package masutest

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// fakeSide is a side box of the fake's: a box of its own, known by name to the box that it is of.
type fakeSide struct {
	*fakeBox
	name     string
	health   []string
	well     bool
	restarts int
}

// sideTries is how often the fake starts again what fails.
const sideTries = 3

// startSides makes a box's side boxes anew, unless the box runs as wished, and
// waits until each is ready.
func (f *FakeRuntime) startSides(ctx context.Context, b masu.Box) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	old, img := f.boxes[b.ID], f.image(masu.ImageRef(b.Image))
	if img == nil || old != nil && old.life != nil && old.spec == boxDigest(b) && old.image == img.id {
		leave()
		return nil
	}
	f.endSides(b.ID)
	delete(f.sides, b.ID)
	for _, s := range b.Sides {
		img := f.image(masu.ImageRef(s.Image))
		if img == nil {
			leave()
			return masu.E(masu.NotFound, "no_image", s.Image)
		}
		box := masu.Box{ID: b.ID, Mounts: s.Mounts, Variables: s.Variables}
		side := &fakeSide{name: s.Name, health: s.Health, fakeBox: &fakeBox{id: b.ID, box: box, image: img.id, files: maps.Clone(img.files), log: newFakeLog(), life: newLife()}}
		f.sides[b.ID] = append(f.sides[b.ID], side)
		f.makeVolumes(b.ID, s.Mounts)
		go f.beside(side, side.life, append(slices.Clone(s.Entrypoint), s.Command...))
	}
	sides := slices.Clone(f.sides[b.ID])
	leave()
	for _, side := range sides {
		if err := f.sideReady(ctx, side); err != nil {
			f.mu.Lock()
			f.endSides(b.ID)
			f.mu.Unlock()
			return err
		}
	}
	return nil
}

// beside runs a side box's command, again while it fails.
func (f *FakeRuntime) beside(side *fakeSide, life *life, argv []string) {
	for {
		sh := f.shell(side.fakeBox, life, masu.Exec{Argv: argv, Stdout: side.log, Stderr: side.log, Root: true})
		ctx, _, end := life.begin(life.ctx)
		code := sh.command(ctx, argv)
		sh.back.Wait()
		end()
		f.mu.Lock()
		if side.life != life {
			f.mu.Unlock()
			return
		}
		if code == 0 || side.restarts == sideTries {
			f.endSide(side, code)
			f.mu.Unlock()
			return
		}
		side.restarts++
		f.changed(side.id)
		f.mu.Unlock()
	}
}

func (f *FakeRuntime) sideReady(ctx context.Context, side *fakeSide) error {
	for looks := 0; ; looks++ {
		f.mu.Lock()
		life, status := side.life, side.standing()
		f.mu.Unlock()
		if life == nil || status.Restarts == sideTries {
			return masu.E(masu.Conflict, "side_died", side.name, status.ExitCode, side.log.last())
		}
		well := len(side.health) == 0 && looks > 5 && status.Restarts == 0
		if len(side.health) > 0 {
			sh := f.shell(side.fakeBox, life, masu.Exec{Argv: side.health, Root: true})
			well = sh.command(life.ctx, side.health) == 0
		}
		if well {
			f.mu.Lock()
			side.well = true
			f.mu.Unlock()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// last is the last line that was printed.
func (l *fakeLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(l.buf.String()), "\n")
	return lines[len(lines)-1]
}

// endSide is called with the lock held, as is endSides.
func (f *FakeRuntime) endSide(side *fakeSide, code int) {
	if side.life == nil {
		return
	}
	side.life.end()
	side.life, side.code = nil, code
	side.log.wake()
	f.changed(side.id)
}

func (f *FakeRuntime) endSides(id masu.WorkspaceID) {
	for _, side := range f.sides[id] {
		f.endSide(side, 143)
	}
}

func (side *fakeSide) standing() masu.SideStatus {
	s := masu.SideStatus{Name: side.name, State: masu.SideEnded, ExitCode: side.code, Restarts: side.restarts}
	switch {
	case side.life == nil:
	case side.well:
		s.State, s.ExitCode = masu.SideReady, 0
	default:
		s.State, s.ExitCode = masu.SideStarting, 0
	}
	return s
}

// knows tells whether a name is that of a side box that runs; it is asked by the box's shell.
func (f *FakeRuntime) knows(id masu.WorkspaceID, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.sides[id], func(s *fakeSide) bool { return s.name == name && s.life != nil })
}

// EndSide ends a side box as if its command had.
func (f *FakeRuntime) EndSide(id masu.WorkspaceID, name string, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sides[id] {
		if s.name == name {
			f.endSide(s, code)
		}
	}
}

// SideLogs is masu.Runner's.
func (f *FakeRuntime) SideLogs(ctx context.Context, id masu.WorkspaceID, side string, w io.Writer, follow bool) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(f.sides[id], func(s *fakeSide) bool { return s.name == side })
	if i < 0 {
		leave()
		return masu.E(masu.NotFound, "no_side", side)
	}
	s := f.sides[id][i]
	leave()
	return s.log.copy(ctx, w, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return follow && s.life != nil
	})
}
