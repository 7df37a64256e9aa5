package sqlite

import "github.com/masu-lab/masu"

func (t *tx) Run(id masu.WorkspaceID) (masu.Run, error) {
	return get[masu.Run](t, masu.E(masu.NotFound, "no_run", id), "SELECT doc FROM run WHERE id = ?", id)
}

func (t *tx) Runs(owner masu.Username) ([]masu.Run, error) {
	return list[masu.Run](t, "SELECT doc FROM run WHERE ? IN ('', owner) ORDER BY since DESC, id", owner)
}

func (t *tx) OpenRuns() ([]masu.Run, error) {
	return list[masu.Run](t, "SELECT doc FROM run WHERE over = 0 ORDER BY since, id")
}

func (t *tx) PutRun(r masu.Run) error {
	over := 0
	if r.Over() {
		over = 1
	}
	return t.put(r, "INSERT INTO run (id, owner, since, over, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, over = excluded.over, doc = excluded.doc",
		r.ID, r.Owner, micros(r.At), over)
}

func (t *tx) DeleteRun(id masu.WorkspaceID) error {
	if err := t.do("DELETE FROM sample WHERE workspace = ?", id); err != nil {
		return err
	}
	return t.do("DELETE FROM run WHERE id = ?", id)
}
