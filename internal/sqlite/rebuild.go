package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/masu-lab/masu"
)

var labID = regexp.MustCompile(`^[a-z0-9]{12}$`)

// labFile keeps the lab's identity beside the store: boxes carry it, so a
// store that was lost can find them again.
func labFile(path string) string { return path + ".lab" }

// identity gives the lab's identity for a new store: the one that was here before, or a new one.
func identity(path string) string {
	b, err := os.ReadFile(labFile(path))
	if id := strings.TrimSpace(string(b)); err == nil && labID.MatchString(id) {
		return id
	}
	return newLabID()
}

// keepIdentity writes the identity beside the store, where it is not so already.
func (s *Store) keepIdentity(ctx context.Context) error {
	var id string
	if err := s.View(ctx, func(tx masu.Tx) (err error) { id, err = tx.Lab(); return err }); err != nil {
		return err
	}
	if b, err := os.ReadFile(labFile(s.path)); err == nil && string(b) == id+"\n" {
		return nil
	}
	draft := labFile(s.path) + ".new"
	if err := os.WriteFile(draft, []byte(id+"\n"), 0o600); err != nil {
		return refusal(s.path, err)
	}
	return os.Rename(draft, labFile(s.path))
}

// Rebuilt says what became of a broken store.
type Rebuilt struct {
	Moved      string // the folder that holds the old files
	Lab        string
	Workspaces int // that could still be read
	Members    int
}

// Rebuild sets a broken store aside and makes a new one of the same lab, with
// all workspaces, members, their keys, shared environments, reservations, past leases and house rules that can still be read. Sessions and the audit
// log begin anew. Nobody may have the store open.
func Rebuild(ctx context.Context, c Config) (Rebuilt, error) {
	moved, err := Salvage(ctx, c.Path)
	if err != nil {
		return Rebuilt{}, err
	}
	r := Rebuilt{Moved: moved}
	old := readOld(ctx, filepath.Join(moved, filepath.Base(c.Path)))
	if _, err := os.Lstat(labFile(c.Path)); errors.Is(err, fs.ErrNotExist) && labID.MatchString(old.lab) {
		if err := os.WriteFile(labFile(c.Path), []byte(old.lab+"\n"), 0o600); err != nil {
			return r, refusal(c.Path, err)
		}
	}
	s, err := Open(ctx, c)
	if err != nil {
		return r, err
	}
	err = s.Update(ctx, func(tx masu.Tx) (err error) {
		r.Workspaces, r.Members = 0, 0
		if r.Lab, err = tx.Lab(); err != nil {
			return err
		}
		for _, w := range old.workspaces {
			if tx.PutWorkspace(w) == nil {
				r.Workspaces++
			}
		}
		for _, m := range old.members {
			if tx.PutMember(m) == nil {
				r.Members++
			}
		}
		for _, k := range old.keys {
			_ = tx.PutSSHKey(k)
		}
		for _, x := range old.shared {
			_ = tx.PutShared(x) // one that cannot be put is lost, as one that cannot be read
		}
		for _, x := range old.past {
			_ = tx.PutLease(x)
		}
		for _, x := range old.reserved {
			_ = tx.PutReservation(x)
		}
		if err := errors.Join(tx.PutHouse(old.house), tx.PutRules(old.rules)); err != nil {
			return err
		}
		return tx.Append(masu.Event{Verb: "rebuild", Object: moved})
	})
	return r, errors.Join(err, s.Close())
}

// oldStore is what a broken store still says.
type oldStore struct {
	lab        string
	workspaces []masu.Workspace
	members    []masu.Member
	keys       []masu.SSHKey
	shared     []masu.Shared
	past       []masu.Lease
	reserved   []masu.Reservation
	house      masu.House
	rules      masu.Rules
}

// readOld reads as far as it gets: every error only means that there is less.
func readOld(ctx context.Context, path string) (old oldStore) {
	db, err := pool(path, 1)
	if err != nil {
		return old
	}
	defer db.Close()
	_ = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'lab'").Scan(&old.lab)
	old.workspaces = docs(ctx, db, "SELECT doc FROM workspace", func(w masu.Workspace) bool { return w.ID != "" && w.Owner != "" })
	old.members = docs(ctx, db, "SELECT doc FROM member", func(m masu.Member) bool { return m.Name != "" })
	old.keys = docs(ctx, db, "SELECT doc FROM ssh_key", func(k masu.SSHKey) bool { return k.Fingerprint != "" && k.User != "" })
	old.shared = docs(ctx, db, "SELECT doc FROM shared", func(x masu.Shared) bool { return x.ID != "" && x.Owner != "" })
	// Those that run are told by their boxes.
	old.past = docs(ctx, db, "SELECT doc FROM lease WHERE ended = 1", func(x masu.Lease) bool { return x.ID != "" && !x.EndedAt.IsZero() })
	old.reserved = docs(ctx, db, "SELECT doc FROM reservation", func(x masu.Reservation) bool { return x.ID != "" && x.Holder != "" })
	for _, house := range docs(ctx, db, "SELECT value FROM meta WHERE key = 'house'", func(masu.House) bool { return true }) {
		old.house = house
	}
	for _, rules := range docs(ctx, db, "SELECT value FROM meta WHERE key = 'rules'", func(masu.Rules) bool { return true }) {
		old.rules = rules
	}
	return old
}

// docs reads the documents that a query gives, as far as it gets. One that can
// only be read in part, or that misses what it is known by, counts as not there.
func docs[T any](ctx context.Context, db *sql.DB, query string, whole func(T) bool) (all []T) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var doc T
		if rows.Scan(&raw) == nil && json.Unmarshal(raw, &doc) == nil && whole(doc) {
			all = append(all, doc)
		}
	}
	_ = rows.Err() // as far as it got
	return all
}
