// Package move takes a lab's workspaces from one runtime to another. What masu
// knows about them, members, rules and usage stay in the store; project
// folders stay where they are, and the new runtime must reach them. What moves
// are homes and images. Nothing is removed where it came from.
package move

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/masu-lab/masu"
)

// Source is where workspaces come from.
type Source interface {
	masu.Runtime
	masu.Hauler
	VolumeSize(ctx context.Context, name string) (masu.Bytes, error)
}

// Target is where they go.
type Target interface {
	masu.Runtime
	masu.Hauler
	// Reaches errs if boxes there could not have a folder of this host.
	Reaches(ctx context.Context, folder string) error
}

// Config is what a Move needs.
type Config struct {
	From     Source
	To       Target
	Store    masu.Store
	Accounts masu.Accounts
	Journal  string     // file in which it stands how far a move came
	At       string     // names the target in the journal: a move to another one begins anew
	Shared   []string   // folders that every box has
	Room     masu.Bytes // of a volume there; 0 means any
	OneOwner bool       // there all of a volume becomes its workspace's owner's
}

// Move is one lab's.
type Move struct {
	cfg Config
	log journal
}

// New reads how far an earlier move came.
func New(cfg Config) (*Move, error) {
	for name, missing := range map[string]bool{"From": cfg.From == nil, "To": cfg.To == nil, "Store": cfg.Store == nil,
		"Accounts": cfg.Accounts == nil, "Journal": cfg.Journal == "", "At": cfg.At == ""} {
		if missing {
			return nil, fmt.Errorf("move: Config.%s is missing", name)
		}
	}
	log, err := readJournal(cfg.Journal, cfg.At)
	return &Move{cfg: cfg, log: log}, err
}

// Fate is what becomes of a workspace.
type Fate string

const (
	Moves Fate = "moves"
	Moved Fate = "moved" // it is there
	Stays Fate = "stays" // Why says why it cannot move
	Fails Fate = "fails" // it was tried; Why says how it ended
)

// Carriage is what becomes of a workspace's image.
type Carriage string

const (
	NoImage Carriage = ""        // it never had one
	Carried Carriage = "carried" // it is brought there
	There   Carriage = "there"   // it is there already
	Rebuilt Carriage = "rebuilt" // it is here no more: the next start builds it
)

// Step is one workspace, or one run that goes on.
type Step struct {
	ID      masu.WorkspaceID `json:"id"`
	Owner   masu.Username    `json:"owner"`
	Name    string           `json:"name"`
	Image   Carriage         `json:"image,omitempty"`
	Size    masu.Bytes       `json:"image_size,omitempty"`
	Home    masu.Bytes       `json:"home"` // what its volumes hold
	Volumes []string         `json:"volumes,omitempty"`
	Fate    Fate             `json:"fate"`
	Why     *masu.Trouble    `json:"why,omitempty"`
}

// Plan is what a move would do.
type Plan struct {
	Steps []Step `json:"steps"` // by owner, then name
	// Reservations that name GPUs of the runtime that is left.
	Reservations int `json:"reservations"`
}

// Left counts the workspaces that do not move.
func (p Plan) Left() (n int) {
	for _, s := range p.Steps {
		if s.Fate == Stays || s.Fate == Fails {
			n++
		}
	}
	return n
}

// Plan looks and changes nothing.
func (m *Move) Plan(ctx context.Context) (p Plan, err error) {
	var all []masu.Workspace
	if err := m.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		if all, err = tx.Workspaces(); err != nil {
			return err
		}
		kept, err := tx.Reservations(time.Now())
		p.Reservations = len(kept)
		return err
	}); err != nil {
		return p, err
	}
	here, err := boxes(ctx, m.cfg.From)
	if err != nil {
		return p, err
	}
	there, err := boxes(ctx, m.cfg.To)
	if err != nil {
		return p, err
	}
	for _, w := range all {
		s, err := m.step(ctx, w, here[w.ID], there[w.ID])
		if err != nil {
			return p, err
		}
		p.Steps = append(p.Steps, s)
		delete(here, w.ID)
	}
	for _, b := range here {
		if b.Run && b.State == masu.BoxRunning {
			p.Steps = append(p.Steps, Step{ID: b.ID, Owner: b.Owner, Name: b.Name, Fate: Stays, Why: trouble(masu.E(masu.Conflict, "move_run_goes", b.ID))})
		}
	}
	return p, nil
}

func boxes(ctx context.Context, r masu.Runner) (map[masu.WorkspaceID]masu.BoxStatus, error) {
	list, err := r.Boxes(ctx)
	all := map[masu.WorkspaceID]masu.BoxStatus{}
	for _, b := range list {
		all[b.ID] = b
	}
	return all, err
}

// step looks at one workspace; here and there are its boxes, if it has any.
func (m *Move) step(ctx context.Context, w masu.Workspace, here, there masu.BoxStatus) (s Step, err error) {
	s = Step{ID: w.ID, Owner: w.Owner, Name: w.Name, Fate: Moves}
	if w.Adopted != nil {
		return s.stays(masu.E(masu.Conflict, "move_adopted", w.Adopted.Container)), nil
	}
	if s.Volumes, err = m.cfg.From.Volumes(ctx, w.ID); err != nil {
		return s, err
	}
	for _, v := range s.Volumes {
		size, err := m.cfg.From.VolumeSize(ctx, v)
		if err != nil {
			return s.stays(err), ctx.Err()
		}
		s.Home += size
		if m.cfg.Room > 0 && size > m.cfg.Room {
			s = s.stays(masu.E(masu.Full, "move_too_large", size, m.cfg.Room))
		}
	}
	if s.Image, s.Size, err = m.imageFate(ctx, w.Image); err != nil {
		return s, err
	}
	done, whole := m.log.Done[w.ID]
	if whole && here.StartedAt.After(done) { // it has run here again
		if there.ID != "" {
			return s.stays(masu.E(masu.Conflict, "move_both")), nil
		}
		whole = false
	}
	if whole || there.ID != "" {
		s.Fate, s.Why = Moved, nil
		return s, nil
	}
	if s.Fate == Moves {
		if err := m.hindrance(ctx, w, here); err != nil {
			return s.stays(err), ctx.Err()
		}
	}
	return s, nil
}

func (s Step) stays(why error) Step {
	s.Fate, s.Why = Stays, trouble(why)
	return s
}

// trouble is an error for people, whose cause is left to the log.
func trouble(err error) *masu.Trouble {
	if e, ok := errors.AsType[*masu.Error](err); ok {
		return &masu.Trouble{Kind: e.Kind, Code: e.Code, Args: e.Args}
	}
	return &masu.Trouble{Kind: masu.KindOf(err), Code: masu.CodeOf(err)}
}

// hindrance is why a workspace cannot move now.
func (m *Move) hindrance(ctx context.Context, w masu.Workspace, here masu.BoxStatus) error {
	if here.State == masu.BoxRunning || here.State == masu.BoxPaused {
		return masu.E(masu.Conflict, "move_runs", string(w.Owner)+"/"+w.Name)
	}
	if len(w.Project.Sides) > 0 && m.cfg.OneOwner {
		return masu.E(masu.Conflict, "move_services")
	}
	if _, err := m.cfg.Accounts.ByName(w.Owner); err != nil {
		return err
	}
	folders := m.cfg.Shared
	if w.Project.Dir != "" {
		folders = append([]string{path.Join(w.Project.Dir, w.Project.Work)}, folders...)
	}
	for _, f := range folders {
		if err := m.cfg.To.Reaches(ctx, f); err != nil {
			return err
		}
	}
	_, begun := m.log.Begun[w.ID]
	if have, err := m.cfg.To.Volumes(ctx, w.ID); err != nil || len(have) == 0 || begun {
		return err
	}
	return masu.E(masu.Conflict, "move_home_there")
}

// imageFate tells what becomes of an image.
func (m *Move) imageFate(ctx context.Context, id string) (Carriage, masu.Bytes, error) {
	if id == "" {
		return NoImage, 0, nil
	}
	name := masu.ImageRef(id) // which is one of the target's, if it has moved before
	img, err := m.cfg.From.Image(ctx, name)
	switch {
	case err == nil && len(img.Refs) > 0:
		name = img.Refs[0]
	case err != nil && masu.CodeOf(err) != "no_image":
		return "", 0, err
	}
	there, err := m.cfg.To.Image(ctx, name)
	switch {
	case err == nil:
		return There, there.Size, nil
	case masu.CodeOf(err) != "no_image":
		return "", 0, err
	case len(img.Refs) == 0:
		return Rebuilt, 0, nil
	}
	return Carried, img.Size, nil
}
