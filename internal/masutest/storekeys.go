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
	theirs.User, theirs.Name = "bob", "not his"
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutSSHKey(theirs), tx.PutSSHKey(a)) })
	view(t, s, func(tx masu.Tx) error {
		of, err := tx.SSHKeyOf("SHA256:a")
		mine, err2 := tx.SSHKeys("alice")
		all, err3 := tx.SSHKeys("")
		none, err4 := tx.SSHKeyOf("SHA256:c")
		if d := cmp.Diff([]masu.SSHKey{a, theirs}, of) + cmp.Diff([]masu.SSHKey{a}, mine); d != "" || len(all) != 3 || len(none) != 0 {
			t.Error(d, all, none)
		}
		return errors.Join(err, err2, err3, err4)
	})
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.DeleteSSHKey("alice", "SHA256:a"), tx.DeleteSSHKey("alice", "SHA256:b"), tx.DeleteSSHKey("bob", "SHA256:c"))
	})
	view(t, s, func(tx masu.Tx) error {
		of, err := tx.SSHKeyOf("SHA256:a")
		all, err2 := tx.SSHKeys("")
		if d := cmp.Diff([]masu.SSHKey{theirs}, of); d != "" || len(all) != 2 {
			t.Error(d, all)
		}
		return errors.Join(err, err2)
	})
}
