package masutest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

func (t *memoryTx) SSHKeyOf(fingerprint string) ([]masu.SSHKey, error) {
	return pick(t.keys, func(k masu.SSHKey) bool { return k.Fingerprint == fingerprint }, func(a, b masu.SSHKey) int { return cmp.Compare(a.User, b.User) })
}

func (t *memoryTx) SSHKeys(user masu.Username) ([]masu.SSHKey, error) {
	return pick(t.keys, func(k masu.SSHKey) bool { return user == "" || k.User == user }, func(a, b masu.SSHKey) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}

func (t *memoryTx) PutSSHKey(k masu.SSHKey) error {
	return keep(t, t.keys, string(k.User)+" "+k.Fingerprint, k)
}

func (t *memoryTx) DeleteSSHKey(user masu.Username, fingerprint string) error {
	return drop(t, t.keys, string(user)+" "+fingerprint)
}

func (s *fakeActor) Keys(context.Context) (list []masu.SSHKey, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.people.keys {
		if k.User == s.actor.Name {
			list = append(list, k)
		}
	}
	return list, nil
}

// AddKey looks at the line's shape only.
func (s *fakeActor) AddKey(_ context.Context, line, name string) (k masu.SSHKey, err error) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	text, comment, _ := strings.Cut(rest, " ")
	blob, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil || len(blob) < 32 || len(line) > 16<<10 || strings.Contains(comment, "\n") || kind != "ssh-dss" && kind != "ssh-ed25519":
		return k, masu.E(masu.Invalid, "key_wrong", "no key")
	case kind == "ssh-dss":
		return k, masu.E(masu.Invalid, "key_weak", kind)
	}
	sum := sha256.Sum256(blob)
	k = masu.SSHKey{Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), Key: kind + " " + text, User: s.actor.Name, Name: cmp.Or(name, comment), At: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.people.keys, func(x masu.SSHKey) bool { return x.Fingerprint == k.Fingerprint && x.User == k.User })
	if i >= 0 {
		s.people.keys[i] = k
	} else {
		s.people.keys = append(s.people.keys, k)
	}
	s.note("key", k.Fingerprint, nil)
	return k, nil
}

func (s *fakeActor) RemoveKey(_ context.Context, fingerprint string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.people.keys)
	s.people.keys = slices.DeleteFunc(s.people.keys, func(k masu.SSHKey) bool { return k.Fingerprint == fingerprint && k.User == s.actor.Name })
	if len(s.people.keys) == before {
		err = masu.E(masu.NotFound, "no_key", fingerprint)
	}
	s.note("key rm", fingerprint, err)
	return err
}
