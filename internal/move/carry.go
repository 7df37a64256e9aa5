package move

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/archive"
)

// errEnough ends a writer whose reader has had enough.
var errEnough = errors.New("move: no more is wanted")

// Carry does what the plan says, tells of each workspace when it begins and
// when it ends, and gives the plan as it then stands. A workspace that fails
// does not keep others from moving; a runtime that goes away ends it all.
func (m *Move) Carry(ctx context.Context, p Plan, tell func(Step)) (Plan, error) {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Fate != Moves {
			continue
		}
		tell(*s)
		err := m.carry(ctx, *s)
		if err == nil {
			s.Fate = Moved
		} else {
			s.Fate, s.Why = Fails, trouble(err)
		}
		tell(*s)
		if ctx.Err() != nil {
			return p, ctx.Err()
		}
		if err != nil && (masu.KindOf(err) == masu.Unreachable || masu.KindOf(err) == masu.Internal) {
			return p, err
		}
	}
	return p, nil
}

// carry brings one workspace's image and volumes, and then writes down that it is there.
func (m *Move) carry(ctx context.Context, s Step) error {
	owner, err := m.cfg.Accounts.ByName(s.Owner)
	if err != nil {
		return err
	}
	var w masu.Workspace
	if err := m.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		w, err = tx.Workspace(s.ID)
		return err
	}); err != nil {
		return err
	}
	image, err := m.image(ctx, w.Image)
	if err != nil {
		return err
	}
	began := time.Now()
	m.log.Begun[s.ID] = began
	delete(m.log.Done, s.ID)
	if err := m.log.write(m.cfg.Journal); err != nil {
		return err
	}
	for _, name := range s.Volumes {
		if err := m.volume(ctx, masu.Volume{Name: name, Of: s.ID, Owner: owner}); err != nil {
			return err
		}
	}
	if err := m.record(ctx, s, image); err != nil {
		return err
	}
	m.log.Done[s.ID] = began // what happens here from then on has not come along
	return m.log.write(m.cfg.Journal)
}

// volume pipes a volume over.
func (m *Move) volume(ctx context.Context, v masu.Volume) error {
	return piped(func(w io.Writer) error { return m.cfg.From.PackVolume(ctx, v, w) },
		func(r io.Reader) error { return m.cfg.To.UnpackVolume(ctx, v, r) })
}

// image brings an image under all its names and gives its ID there; "" for one that is to be built.
func (m *Move) image(ctx context.Context, id string) (string, error) {
	fate, _, err := m.imageFate(ctx, id)
	if err != nil || fate == NoImage || fate == Rebuilt {
		return "", err
	}
	img, err := m.cfg.From.Image(ctx, masu.ImageRef(id))
	if fate == There && len(img.Refs) == 0 { // it is the target's own
		return id, nil
	}
	if err != nil {
		return "", err
	}
	name := img.Refs[0]
	if fate == Carried {
		err := piped(func(w io.Writer) error { return m.cfg.From.Save(ctx, masu.ImageRef(id), w) }, func(r io.Reader) error {
			return piped(func(w io.Writer) error {
				return archive.Pass(r, w, func(archive.Config) (masu.ImageRef, error) { return name, nil })
			}, func(r io.Reader) error { return m.cfg.To.Load(ctx, r) })
		})
		if err != nil {
			return "", err
		}
	}
	for _, more := range img.Refs[1:] {
		if err := m.cfg.To.Tag(ctx, name, more); err != nil {
			return "", err
		}
	}
	there, err := m.cfg.To.Image(ctx, name)
	return there.ID, err
}

// piped lets one write what the other reads. The reader's error counts, for it carries the writer's.
func piped(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		wrote <- err
	}()
	err := read(r)
	r.CloseWithError(errEnough)
	if werr := <-wrote; err == nil && !errors.Is(werr, errEnough) {
		err = werr
	}
	return err
}

// record puts into the store that the workspace is elsewhere.
func (m *Move) record(ctx context.Context, s Step, image string) error {
	return m.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		w, err := tx.Workspace(s.ID)
		if err != nil {
			return err
		}
		w.Image = image
		if err := tx.PutWorkspace(w); err != nil {
			return err
		}
		return tx.Append(masu.Event{Verb: "migrate", Object: string(s.Owner) + "/" + s.Name, Args: []string{m.cfg.At}})
	})
}
