package sqlite

import "github.com/masu-lab/masu"

func (t *tx) SSHKey(fingerprint string) (masu.SSHKey, error) {
	return get[masu.SSHKey](t, masu.E(masu.NotFound, "no_key", fingerprint), "SELECT doc FROM ssh_key WHERE fingerprint = ?", fingerprint)
}

func (t *tx) SSHKeys(user masu.Username) ([]masu.SSHKey, error) {
	return list[masu.SSHKey](t, "SELECT doc FROM ssh_key WHERE user = ? OR ? = '' ORDER BY since, fingerprint", user, user)
}

func (t *tx) PutSSHKey(k masu.SSHKey) error {
	if old, err := t.SSHKey(k.Fingerprint); err == nil && old.User != k.User {
		return masu.E(masu.Conflict, "key_in_use")
	}
	return t.put(k, `INSERT INTO ssh_key (fingerprint, user, since, doc) VALUES (?, ?, ?, ?)
		ON CONFLICT (fingerprint) DO UPDATE SET user = excluded.user, since = excluded.since, doc = excluded.doc`, k.Fingerprint, k.User, micros(k.At))
}

func (t *tx) DeleteSSHKey(fingerprint string) error {
	return t.do("DELETE FROM ssh_key WHERE fingerprint = ?", fingerprint)
}
