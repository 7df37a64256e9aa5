package sqlite

import "github.com/masu-lab/masu"

func (t *tx) SSHKeyOf(fingerprint string) ([]masu.SSHKey, error) {
	return list[masu.SSHKey](t, "SELECT doc FROM ssh_key WHERE fingerprint = ? ORDER BY user", fingerprint)
}

func (t *tx) SSHKeys(user masu.Username) ([]masu.SSHKey, error) {
	return list[masu.SSHKey](t, "SELECT doc FROM ssh_key WHERE user = ? OR ? = '' ORDER BY since, fingerprint", user, user)
}

func (t *tx) PutSSHKey(k masu.SSHKey) error {
	return t.put(k, `INSERT INTO ssh_key (fingerprint, user, since, doc) VALUES (?, ?, ?, ?)
		ON CONFLICT (fingerprint, user) DO UPDATE SET since = excluded.since, doc = excluded.doc`, k.Fingerprint, k.User, micros(k.At))
}

func (t *tx) DeleteSSHKey(user masu.Username, fingerprint string) error {
	return t.do("DELETE FROM ssh_key WHERE user = ? AND fingerprint = ?", user, fingerprint)
}
