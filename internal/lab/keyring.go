package lab

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// A look at everybody's authorized_keys is believed for keysFresh: a lookup
// costs one stat for each member then, and nothing in between. Who the members
// are is dearer to ask, and changes less.
const (
	keysFresh    = 2 * time.Second
	membersFresh = 30 * time.Second
)

// keyring remembers what stands in the members' authorized_keys: a key's owner
// must be found by the key alone, because ssh says nothing but a workspace.
type keyring struct {
	turn     chan struct{} // holds one while somebody looks; it guards what follows
	files    map[masu.Username]keyFile
	lookedAt time.Time
	members  []masu.User
	listedAt time.Time
}

// keyFile is one member's authorized_keys, as of its stamp.
type keyFile struct {
	stamp string
	keys  []masu.SSHKey
}

func newKeyring() *keyring {
	return &keyring{turn: make(chan struct{}, 1), files: map[masu.Username]keyFile{}}
}

// enter waits for the turn: a home on a network that does not answer must not keep anybody for ever.
func (r *keyring) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fileKeys gives the keys of one member's authorized_keys as it is now; it is called in turn.
func (l *Lab) fileKeys(u masu.User) []masu.SSHKey {
	if l.cfg.KeyFile == nil || l.cfg.ReadKeys == nil || u.UID == 0 && !l.cfg.Personal {
		return nil
	}
	known := l.keyring.files[u.Name]
	text, stamp, err := l.cfg.KeyFile(u, known.stamp)
	if err != nil {
		text, stamp = nil, err.Error() // it is told once, and again when it changes
	}
	if stamp == known.stamp {
		return known.keys
	}
	if err != nil {
		l.log.Warn("authorized_keys not used", "user", u.Name, "error", err)
	}
	keys, refused := l.cfg.ReadKeys(text)
	for _, err := range refused {
		l.log.Warn("a key is not used", "user", u.Name, "error", err)
	}
	for i := range keys {
		keys[i].User, keys[i].File = u.Name, true
	}
	l.keyring.files[u.Name] = keyFile{stamp, keys}
	return keys
}

// lookAround brings the keyring up to date with everybody's files; it is called in turn.
func (l *Lab) lookAround(ctx context.Context) error {
	if time.Since(l.keyring.lookedAt) < keysFresh {
		return nil
	}
	if r := l.keyring; time.Since(r.listedAt) >= membersFresh {
		all, err := l.cfg.Accounts.All()
		if err != nil {
			return err
		}
		r.members, r.listedAt = all, time.Now()
	}
	there := map[masu.Username]bool{}
	for _, u := range l.keyring.members {
		if err := ctx.Err(); err != nil {
			return err
		}
		there[u.Name] = true
		l.fileKeys(u)
	}
	for name := range l.keyring.files {
		if !there[name] {
			delete(l.keyring.files, name)
		}
	}
	l.keyring.lookedAt = time.Now()
	return nil
}

// holders lists whose a key is: who added it, and in whose authorized_keys it
// stands. The one who is expected is looked at alone.
func (l *Lab) holders(ctx context.Context, fingerprint string, expected masu.Username) ([]masu.SSHKey, error) {
	is := func(k masu.SSHKey) bool { return k.Fingerprint == fingerprint }
	leave, err := l.keyring.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []masu.SSHKey
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		k, err := tx.SSHKey(fingerprint)
		if err == nil {
			found = append(found, k)
		} else if masu.KindOf(err) == masu.NotFound {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if u, err := l.cfg.Accounts.ByName(expected); expected != "" && err == nil {
		if i := slices.IndexFunc(found, func(k masu.SSHKey) bool { return k.User == expected }); i >= 0 {
			return found[i:][:1], nil
		}
		keys := l.fileKeys(u)
		if i := slices.IndexFunc(keys, is); i >= 0 {
			return keys[i:][:1:1], nil
		}
	}
	if err := l.lookAround(ctx); err != nil {
		return nil, err
	}
	for _, f := range l.keyring.files {
		if i := slices.IndexFunc(f.keys, is); i >= 0 && !slices.ContainsFunc(found, func(k masu.SSHKey) bool { return k.User == f.keys[i].User }) {
			found = append(found, f.keys[i])
		}
	}
	slices.SortFunc(found, func(a, b masu.SSHKey) int { return strings.Compare(string(a.User), string(b.User)) })
	return found, nil
}
