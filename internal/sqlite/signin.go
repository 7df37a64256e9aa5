package sqlite

import (
	"time"

	"github.com/masu-lab/masu"
)

func (t *tx) Session(hash string) (masu.Session, error) {
	missing := masu.E(masu.NotFound, "no_session")
	s, err := get[masu.Session](t, missing, "SELECT doc FROM session WHERE hash = ?", hash)
	if err == nil && !time.Now().Before(s.Expires) {
		return masu.Session{}, missing
	}
	return s, err
}

func (t *tx) Sessions(user masu.Username) ([]masu.Session, error) {
	if user == everybody {
		return list[masu.Session](t, "SELECT doc FROM session WHERE expires > ? ORDER BY since, hash", micros(time.Now()))
	}
	return list[masu.Session](t, "SELECT doc FROM session WHERE user = ? AND expires > ? ORDER BY since, hash", user, micros(time.Now()))
}

// PutSession also forgets those that have expired, so that they do not pile up.
func (t *tx) PutSession(s masu.Session) error {
	if err := t.do("DELETE FROM session WHERE expires <= ?", micros(time.Now())); err != nil {
		return err
	}
	return t.put(s, `INSERT INTO session (hash, user, since, expires, doc) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET user = excluded.user, since = excluded.since, expires = excluded.expires, doc = excluded.doc`,
		s.Hash, s.User, micros(s.At), micros(s.Expires))
}

func (t *tx) DeleteSession(hash string) error {
	return t.do("DELETE FROM session WHERE hash = ?", hash)
}

// PutLink also forgets those that have expired.
func (t *tx) PutLink(l masu.Link) error {
	if err := t.do("DELETE FROM link WHERE expires <= ?", micros(time.Now())); err != nil {
		return err
	}
	return t.put(l, `INSERT INTO link (hash, expires, doc) VALUES (?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET expires = excluded.expires, doc = excluded.doc`, l.Hash, micros(l.Expires))
}

func (t *tx) TakeLink(hash string, now time.Time) (masu.Link, error) {
	missing := masu.E(masu.NotFound, "no_link")
	if t.readOnly {
		return masu.Link{}, errReadOnly
	}
	l, err := get[masu.Link](t, missing, "DELETE FROM link WHERE hash = ? RETURNING doc", hash)
	if err == nil && !now.Before(l.Expires) {
		return masu.Link{}, missing
	}
	return l, err
}
