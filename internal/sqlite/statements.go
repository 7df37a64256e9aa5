package sqlite

import (
	"database/sql"
	"sync"
)

// statementsMost bounds what is kept: all queries stand in this package's text, and they are fewer.
const statementsMost = 200

// statements are queries that SQLite has compiled already. A page reads a few
// nouns by their keys, and to compile such a query takes longer than to answer it.
type statements struct {
	db *sql.DB

	mu  sync.Mutex
	all map[string]*sql.Stmt
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, all: map[string]*sql.Stmt{}}
}

// of gives the statement of a query; nil if it cannot be compiled now, or too many are kept.
func (s *statements) of(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.all[query]; ok || len(s.all) >= statementsMost {
		return known
	}
	stmt, err := s.db.Prepare(query)
	if err != nil {
		return nil
	}
	s.all[query] = stmt
	return stmt
}

// row asks for one row. Nothing else may ask the same until it is scanned.
func (t *tx) row(query string, args ...any) *sql.Row {
	if t.kept != nil {
		if stmt := t.kept.of(query); stmt != nil {
			return t.Stmt(stmt).QueryRow(args...)
		}
	}
	return t.QueryRow(query, args...)
}

// rows asks for many. Nothing else may ask the same until they are closed.
func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	if t.kept != nil {
		if stmt := t.kept.of(query); stmt != nil {
			return t.Stmt(stmt).Query(args...)
		}
	}
	return t.Query(query, args...)
}
