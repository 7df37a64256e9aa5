package masutest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// aKey is a key of nobody's: its other half was thrown away.
const aKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGCxjg/a6b77iZceAYXyDNoLLmbpXyBtUNqcF6PMN1GL"

func testStoreKeys(t *testing.T, s masu.Store) {
	now := time.Now().UTC().Truncate(time.Second)
	a := masu.SSHKey{Fingerprint: "SHA256:a", Key: aKey, User: "alice", Name: "ノート", At: now}
	b := masu.SSHKey{Fingerprint: "SHA256:b", Key: aKey, User: "bob", At: now}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutSSHKey(a), tx.PutSSHKey(b)) })
	a.UsedAt = now
	theirs := a
	theirs.User = "bob"
	update(t, s, func(tx masu.Tx) error {
		wantError(t, tx.PutSSHKey(theirs), masu.Conflict, "key_in_use")
		return tx.PutSSHKey(a)
	})
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.SSHKey("SHA256:a")
		mine, err2 := tx.SSHKeys("alice")
		all, err3 := tx.SSHKeys("")
		if d := cmp.Diff(a, got) + cmp.Diff([]masu.SSHKey{a}, mine) + cmp.Diff([]masu.SSHKey{a, b}, all); d != "" {
			t.Error(d)
		}
		_, none := tx.SSHKey("SHA256:c")
		wantError(t, none, masu.NotFound, "no_key")
		return errors.Join(err, err2, err3)
	})
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.DeleteSSHKey("SHA256:a"), tx.DeleteSSHKey("SHA256:c")) })
	view(t, s, func(tx masu.Tx) error {
		_, gone := tx.SSHKey("SHA256:a")
		wantError(t, gone, masu.NotFound, "no_key")
		return nil
	})
}
