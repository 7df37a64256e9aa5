package sqlite

import (
	"context"
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
	each := func(query string, take func(doc []byte)) {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return
		}
		defer rows.Close()
		for rows.Next() {
			var doc []byte
			if rows.Scan(&doc) == nil {
				take(doc)
			}
		}
		_ = rows.Err() // as far as it got
	}
	each("SELECT doc FROM workspace", func(doc []byte) {
		var w masu.Workspace
		if json.Unmarshal(doc, &w) == nil && w.ID != "" && w.Owner != "" {
			old.workspaces = append(old.workspaces, w)
		}
	})
	each("SELECT doc FROM member", func(doc []byte) {
		var m masu.Member
		if json.Unmarshal(doc, &m) == nil && m.Name != "" {
			old.members = append(old.members, m)
		}
	})
	each("SELECT doc FROM ssh_key", func(doc []byte) {
		var k masu.SSHKey
		if json.Unmarshal(doc, &k) == nil && k.Fingerprint != "" && k.User != "" {
			old.keys = append(old.keys, k)
		}
	})
	each("SELECT doc FROM shared", func(doc []byte) {
		var x masu.Shared
		if json.Unmarshal(doc, &x) == nil && x.ID != "" && x.Owner != "" {
			old.shared = append(old.shared, x)
		}
	})
	each("SELECT doc FROM lease WHERE ended = 1", func(doc []byte) { // those that run are told by their boxes
		var x masu.Lease
		if json.Unmarshal(doc, &x) == nil && x.ID != "" && !x.EndedAt.IsZero() {
			old.past = append(old.past, x)
		}
	})
	each("SELECT doc FROM reservation", func(doc []byte) {
		var x masu.Reservation
		if json.Unmarshal(doc, &x) == nil && x.ID != "" && x.Holder != "" {
			old.reserved = append(old.reserved, x)
		}
	})
	// What can only be read in part counts as not said.
	each("SELECT value FROM meta WHERE key = 'house'", func(doc []byte) {
		if json.Unmarshal(doc, &old.house) != nil {
			old.house = masu.House{}
		}
	})
	each("SELECT value FROM meta WHERE key = 'rules'", func(doc []byte) {
		if json.Unmarshal(doc, &old.rules) != nil {
			old.rules = masu.Rules{}
		}
	})
	return old
}
