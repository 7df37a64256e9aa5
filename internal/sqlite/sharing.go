package sqlite

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// everybody stands in the place of a member: where an app is shared with the lab, and where all sessions are asked for.
const everybody masu.Username = ""

func (t *tx) WorkspacesOpenTo(member masu.Username) ([]masu.Workspace, error) {
	return list[masu.Workspace](t, `SELECT doc FROM workspace WHERE id IN (SELECT workspace FROM guest WHERE member IN (?, ?)) AND owner <> ? ORDER BY owner, name`,
		member, everybody, member)
}

// putGuests makes the table say what a workspace's doc says.
func (t *tx) putGuests(w masu.Workspace) error {
	if err := t.do("DELETE FROM guest WHERE workspace = ?", w.ID); err != nil {
		return err
	}
	members := slices.Clone(w.Guests)
	for _, s := range w.Shares {
		members = append(members, s.With) // the lab's has none: everybody
	}
	for _, g := range members {
		if err := t.do("INSERT OR IGNORE INTO guest (workspace, member) VALUES (?, ?)", w.ID, g); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) SharedEnvironment(id string) (masu.Shared, error) {
	return get[masu.Shared](t, masu.E(masu.NotFound, "no_shared", id), "SELECT doc FROM shared WHERE id = ?", id)
}

func (t *tx) SharedEnvironments() ([]masu.Shared, error) {
	return list[masu.Shared](t, "SELECT doc FROM shared ORDER BY since DESC, id")
}

func (t *tx) PutShared(s masu.Shared) error {
	return t.put(s, "INSERT INTO shared (id, since, doc) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc", s.ID, micros(s.At))
}

func (t *tx) DeleteShared(id string) error { return t.do("DELETE FROM shared WHERE id = ?", id) }

// PutSamples keeps cores and GPUs by thousandths: nobody sees more, and integers take less room.
func (t *tx) PutSamples(list []masu.Sample, forget time.Time) error {
	if err := t.do("DELETE FROM sample WHERE at < ?", micros(forget)); err != nil {
		return err
	}
	for _, s := range list {
		if err := t.do("INSERT OR REPLACE INTO sample (workspace, at, cpu, memory, gpus, gpu, gpu_memory) VALUES (?, ?, ?, ?, ?, ?, ?)",
			s.Workspace, micros(s.At), thousandths(s.CPU), int64(s.Memory), s.GPUs, thousandths(s.GPU), int64(s.GPUMemory)); err != nil {
			return err
		}
	}
	return nil
}

func thousandths(v float64) int64 { return int64(math.Round(v * 1000)) }

func (t *tx) Samples(id masu.WorkspaceID, since time.Time) (list []masu.Sample, err error) {
	rows, err := t.Query("SELECT at, cpu, memory, gpus, gpu, gpu_memory FROM sample WHERE workspace = ? AND at >= ? ORDER BY at", id, micros(since))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		s := masu.Sample{Workspace: id}
		var at, cpu, gpu int64
		if err := rows.Scan(&at, &cpu, &s.Memory, &s.GPUs, &gpu, &s.GPUMemory); err != nil {
			return nil, err
		}
		s.At, s.CPU, s.GPU = time.UnixMicro(at).UTC(), float64(cpu)/1000, float64(gpu)/1000
		list = append(list, s)
	}
	return list, rows.Err()
}
