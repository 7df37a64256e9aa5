package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/masu-lab/masu"
)

func (t *tx) Members() ([]masu.Member, error) {
	return list[masu.Member](t, "SELECT doc FROM member ORDER BY name")
}

func (t *tx) Token(hash string) (masu.Token, error) {
	missing := masu.E(masu.NotFound, "no_token")
	k, err := get[masu.Token](t, missing, "SELECT doc FROM token WHERE hash = ?", hash)
	if err == nil && !time.Now().Before(k.Expires) {
		return masu.Token{}, missing
	}
	return k, err
}

func (t *tx) Tokens(user masu.Username) ([]masu.Token, error) {
	return list[masu.Token](t, "SELECT doc FROM token WHERE user = ? AND expires > ? ORDER BY since, id", user, micros(time.Now()))
}

// PutToken also forgets those that have expired.
func (t *tx) PutToken(k masu.Token) error {
	if err := t.do("DELETE FROM token WHERE expires <= ?", micros(time.Now())); err != nil {
		return err
	}
	return t.put(k, `INSERT INTO token (id, hash, user, since, expires, doc) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, user = excluded.user, since = excluded.since, expires = excluded.expires, doc = excluded.doc`,
		k.ID, k.Hash, k.User, micros(k.At), micros(k.Expires))
}

func (t *tx) DeleteToken(id string) error { return t.do("DELETE FROM token WHERE id = ?", id) }

func (t *tx) House() (masu.House, error) { return meta[masu.House](t, "house") }

func (t *tx) PutHouse(h masu.House) error { return t.putMeta("house", h) }

func (t *tx) Rules() (masu.Rules, error) { return meta[masu.Rules](t, "rules") }

func (t *tx) PutRules(r masu.Rules) error { return t.putMeta("rules", r) }

// meta reads what the lab has one of; zero if it was never put.
func meta[T any](t *tx, key string) (v T, err error) {
	var doc []byte
	err = t.row("SELECT value FROM meta WHERE key = ?", key).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return v, nil
	}
	if err == nil {
		err = json.Unmarshal(doc, &v)
	}
	return v, err
}

func (t *tx) putMeta(key string, v any) error {
	return t.put(v, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key)
}
