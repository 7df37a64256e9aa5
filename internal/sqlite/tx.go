package sqlite

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// tx is masu.Tx. Each noun is kept as its JSON, beside the columns that it is found by.
type tx struct {
	*sql.Tx
	readOnly bool
	kept     *statements // nil where each statement is new
}

var errReadOnly = errors.New("sqlite: a View cannot write")

// newLabID makes 12 lower-case letters and digits.
func newLabID() string { return strings.ToLower(rand.Text()[:12]) }

// micros is how times stand in columns; unlike nanoseconds it can hold the zero time.
func micros(t time.Time) int64 { return t.UnixMicro() }

// get reads one noun; missing is the error when there is none.
func get[T any](t *tx, missing error, query string, args ...any) (T, error) {
	var noun T
	var doc []byte
	err := t.row(query, args...).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return noun, missing
	}
	if err != nil {
		return noun, err
	}
	return noun, json.Unmarshal(doc, &noun)
}

// list reads nouns.
func list[T any](t *tx, query string, args ...any) (nouns []T, err error) {
	rows, err := t.rows(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var noun T
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(doc, &noun); err != nil {
			return nil, err
		}
		nouns = append(nouns, noun)
	}
	return nouns, rows.Err()
}

// put writes a noun: its doc is the last argument of the statement.
func (t *tx) put(noun any, statement string, args ...any) error {
	doc, err := json.Marshal(noun)
	if err != nil {
		return err
	}
	return t.do(statement, append(args, string(doc))...)
}

func (t *tx) do(statement string, args ...any) error {
	if t.readOnly {
		return errReadOnly
	}
	_, err := t.Exec(statement, args...)
	return err
}

func (t *tx) Lab() (string, error) {
	var id string
	err := t.QueryRow("SELECT value FROM meta WHERE key = 'lab'").Scan(&id)
	return id, err
}

func (t *tx) Workspace(id masu.WorkspaceID) (masu.Workspace, error) {
	return get[masu.Workspace](t, masu.E(masu.NotFound, "no_workspace", id), "SELECT doc FROM workspace WHERE id = ?", id)
}

func (t *tx) WorkspaceNamed(owner masu.Username, name string) (masu.Workspace, error) {
	return get[masu.Workspace](t, masu.E(masu.NotFound, "no_workspace", name), "SELECT doc FROM workspace WHERE owner = ? AND name = ?", owner, name)
}

func (t *tx) WorkspaceLabelled(label string) (masu.Workspace, error) {
	return get[masu.Workspace](t, masu.E(masu.NotFound, "no_workspace", label), "SELECT doc FROM workspace WHERE label = ?", label)
}

func (t *tx) Workspaces() ([]masu.Workspace, error) {
	return list[masu.Workspace](t, "SELECT doc FROM workspace ORDER BY owner, name")
}

func (t *tx) WorkspacesOf(owner masu.Username) ([]masu.Workspace, error) {
	return list[masu.Workspace](t, "SELECT doc FROM workspace WHERE owner = ? ORDER BY name", owner)
}

func (t *tx) PutWorkspace(w masu.Workspace) error {
	err := t.put(w, `INSERT INTO workspace (id, owner, name, label, doc) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name, label = excluded.label, doc = excluded.doc`,
		w.ID, w.Owner, w.Name, w.Label)
	if taken(err) {
		return masu.E(masu.Conflict, "name_taken", w.Name).Because(err)
	}
	if err != nil {
		return err
	}
	return t.putGuests(w)
}

func (t *tx) DeleteWorkspace(id masu.WorkspaceID) error {
	for _, table := range []string{"DELETE FROM guest WHERE workspace = ?", "DELETE FROM sample WHERE workspace = ?", "DELETE FROM workspace WHERE id = ?"} {
		if err := t.do(table, id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) Member(name masu.Username) (masu.Member, error) {
	return get[masu.Member](t, masu.E(masu.NotFound, "no_member", name), "SELECT doc FROM member WHERE name = ?", name)
}

func (t *tx) PutMember(m masu.Member) error {
	return t.put(m, "INSERT INTO member (name, doc) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc", m.Name)
}
