package sqlite

import (
	"math"
	"time"

	"github.com/masu-lab/masu"
)

func (t *tx) Leases() ([]masu.Lease, error) {
	return list[masu.Lease](t, "SELECT doc FROM lease WHERE ended = 0 ORDER BY since, id")
}

func (t *tx) PastLeases(since time.Time) ([]masu.Lease, error) {
	return list[masu.Lease](t, "SELECT doc FROM lease WHERE ended = 1 AND till >= ? ORDER BY till, id", micros(since))
}

// PutLease looks before it writes, so that a refusal leaves nothing half done
// in a transaction that goes on; the unique index is there for its mistakes.
func (t *tx) PutLease(l masu.Lease) error {
	ended, till, shared := 0, int64(0), 0
	if !l.EndedAt.IsZero() {
		ended, till = 1, micros(l.EndedAt)
	}
	if l.Share > 0 {
		shared = 1
	}
	if err := t.gpusFree(l, ended == 0); err != nil {
		return err
	}
	err := t.put(l, `INSERT INTO lease (id, workspace, since, ended, till, doc) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET workspace = excluded.workspace, since = excluded.since, ended = excluded.ended, till = excluded.till, doc = excluded.doc`,
		l.ID, l.Workspace, micros(l.From), ended, till)
	if err != nil {
		return err
	}
	if err := t.do("DELETE FROM lease_gpu WHERE lease = ?", l.ID); err != nil {
		return err
	}
	for _, g := range l.GPUs {
		err := t.do("INSERT INTO lease_gpu (lease, gpu, ended, shared) VALUES (?, ?, ?, ?)", l.ID, g, ended, shared)
		if taken(err) {
			return masu.E(masu.Conflict, "gpu_taken", g).Because(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gpusFree refuses a GPU that is named twice, or that another running lease holds, unless both share it.
func (t *tx) gpusFree(l masu.Lease, running bool) error {
	seen := map[masu.GPUID]bool{}
	for _, g := range l.GPUs {
		var others int
		if running {
			err := t.QueryRow("SELECT count(*) FROM lease_gpu WHERE gpu = ? AND ended = 0 AND lease <> ? AND (shared = 0 OR ?)", g, l.ID, l.Share == 0).Scan(&others)
			if err != nil {
				return err
			}
		}
		if others > 0 || seen[g] {
			return masu.E(masu.Conflict, "gpu_taken", g)
		}
		seen[g] = true
	}
	return nil
}

func (t *tx) Tickets() ([]masu.Ticket, error) {
	return list[masu.Ticket](t, "SELECT doc FROM ticket ORDER BY since, workspace")
}

func (t *tx) PutTicket(k masu.Ticket) error {
	return t.put(k, "INSERT INTO ticket (workspace, since, doc) VALUES (?, ?, ?) ON CONFLICT (workspace) DO UPDATE SET since = excluded.since, doc = excluded.doc", k.Workspace, micros(k.At))
}

func (t *tx) DeleteTicket(id masu.WorkspaceID) error {
	return t.do("DELETE FROM ticket WHERE workspace = ?", id)
}

func (t *tx) Reservations(after time.Time) ([]masu.Reservation, error) {
	return list[masu.Reservation](t, "SELECT doc FROM reservation WHERE till > ? ORDER BY since, id", micros(after))
}

func (t *tx) PutReservation(r masu.Reservation) error {
	return t.put(r, "INSERT INTO reservation (id, since, till, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET since = excluded.since, till = excluded.till, doc = excluded.doc",
		r.ID, micros(r.From), micros(r.Until))
}

func (t *tx) DeleteReservation(id masu.ReservationID) error {
	return t.do("DELETE FROM reservation WHERE id = ?", id)
}

func (t *tx) PutGPUUse(list []masu.GPUUse, minutes time.Time) error {
	for _, u := range list {
		err := t.do(`INSERT INTO gpu_minute (lease, at, busy, energy) VALUES (?, ?, ?, ?)
			ON CONFLICT (at, lease) DO UPDATE SET busy = busy + excluded.busy, energy = energy + excluded.energy`,
			u.Lease, micros(u.At), u.Busy.Milliseconds(), int64(math.Round(u.Energy)))
		if err != nil {
			return err
		}
	}
	edge := micros(minutes.Truncate(time.Hour)) // whole hours only
	const hour = int64(time.Hour / time.Microsecond)
	var old int
	if err := t.QueryRow("SELECT count(*) FROM (SELECT 1 FROM gpu_minute WHERE at < ? LIMIT 1)", edge).Scan(&old); err != nil || old == 0 {
		return err
	}
	err := t.do(`INSERT INTO gpu_hour (lease, at, busy, energy)
		SELECT lease, at / ? * ?, sum(busy), sum(energy) FROM gpu_minute WHERE at < ? GROUP BY 1, 2
		ON CONFLICT (at, lease) DO UPDATE SET busy = busy + excluded.busy, energy = energy + excluded.energy`, hour, hour, edge)
	if err != nil {
		return err
	}
	return t.do("DELETE FROM gpu_minute WHERE at < ?", edge)
}

func (t *tx) GPUUse(from, until time.Time) (list []masu.GPUUse, err error) {
	rows, err := t.Query(`SELECT lease, at, busy, energy FROM gpu_minute WHERE at >= ? AND at < ?
		UNION ALL SELECT lease, at, busy, energy FROM gpu_hour WHERE at >= ? AND at < ?`, micros(from), micros(until), micros(from), micros(until))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var u masu.GPUUse
		var at, busy int64
		if err := rows.Scan(&u.Lease, &at, &busy, &u.Energy); err != nil {
			return nil, err
		}
		u.At, u.Busy = time.UnixMicro(at).UTC(), time.Duration(busy)*time.Millisecond
		list = append(list, u)
	}
	return list, rows.Err()
}
