package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// head is the end of the audit log. It is kept apart from the lines, so that
// cutting the last ones off shows too.
type head struct {
	seq  int64
	hash []byte
}

func (t *tx) head() (head, error) {
	var h head
	var text, sum string
	err := t.QueryRow("SELECT value FROM meta WHERE key = 'event_head'").Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	if _, err := fmt.Sscanf(text, "%d %s", &h.seq, &sum); err != nil {
		return head{}, fmt.Errorf("event_head %q: %w", text, err)
	}
	h.hash, err = hex.DecodeString(sum)
	return h, err
}

// chained gives the hash of a line after the one with the hash before.
func chained(before, doc []byte) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), before...), doc...))
	return sum[:]
}

func (t *tx) Append(e masu.Event) error {
	h, err := t.head()
	if err != nil {
		return err
	}
	e.Seq = h.seq + 1
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC()
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	sum := chained(h.hash, doc)
	if err := t.do("INSERT INTO event (seq, hash, doc) VALUES (?, ?, ?)", e.Seq, sum, string(doc)); err != nil {
		return err
	}
	return t.do("INSERT INTO meta (key, value) VALUES ('event_head', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		fmt.Sprintf("%d %x", e.Seq, sum))
}

func (t *tx) Events(after int64, limit int) ([]masu.Event, error) {
	if limit <= 0 {
		return nil, nil // SQLite takes a negative limit for none
	}
	return list[masu.Event](t, "SELECT doc FROM event WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
}

// FindEvents asks for lines by what stands in them, the newest first.
func (t *tx) FindEvents(q masu.EventQuery) ([]masu.Event, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	where, args := []string{"1"}, []any{}
	add := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if q.Before > 0 {
		add("seq < ?", q.Before)
	}
	if q.Actor != "" {
		add("doc ->> '$.actor' = ?", string(q.Actor))
	}
	if q.Verb != "" {
		add("doc ->> '$.verb' = ?", q.Verb)
	}
	if q.Object != "" {
		add("instr(doc ->> '$.object', ?) > 0", q.Object)
	}
	if !q.Since.IsZero() { // RFC 3339 in UTC is in order as text, but for the length of the fraction
		add("unixepoch(doc ->> '$.at', 'subsec') >= unixepoch(?, 'subsec')", q.Since.UTC().Format(time.RFC3339Nano))
	}
	return list[masu.Event](t, "SELECT doc FROM event WHERE "+strings.Join(where, " AND ")+" ORDER BY seq DESC LIMIT ?", append(args, q.Limit)...)
}

// VerifyEvents examines the audit log: a line that was changed, taken out, put
// in or cut off is Conflict "events_broken", with the number of the first line
// that is not as it was written.
func (s *Store) VerifyEvents(ctx context.Context) error {
	return s.View(ctx, func(mt masu.Tx) error {
		t := mt.(*tx)
		want, err := t.head()
		if err != nil {
			return err
		}
		rows, err := t.QueryContext(ctx, "SELECT seq, hash, doc FROM event ORDER BY seq")
		if err != nil {
			return err
		}
		defer rows.Close()
		var have head
		for rows.Next() {
			if have, err = follow(rows, have); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		switch {
		case have.seq != want.seq:
			return masu.E(masu.Conflict, "events_broken", min(have.seq, want.seq)+1)
		case string(have.hash) != string(want.hash):
			return masu.E(masu.Conflict, "events_broken", have.seq)
		}
		return nil
	})
}

// follow reads the line after have and checks that it is the next of the chain.
func follow(rows *sql.Rows, have head) (head, error) {
	var seq int64
	var sum, doc []byte
	if err := rows.Scan(&seq, &sum, &doc); err != nil {
		return head{}, err
	}
	if seq != have.seq+1 || string(sum) != string(chained(have.hash, doc)) {
		return head{}, masu.E(masu.Conflict, "events_broken", have.seq+1)
	}
	return head{seq, sum}, nil
}
