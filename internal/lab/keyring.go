package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// A look at everybody's authorized_keys is believed for keysFresh: a lookup
// costs one stat for each member then, and nothing in between. Who the members
// are is dearer to ask, and changes less.
const (
	keysFresh    = 2 * time.Second
	membersFresh = 30 * time.Second
	homeTime     = 2 * time.Second // for a home to answer
)

// errHomeAway is trouble of the host's: it says nothing about who asks.
var errHomeAway = errors.New("a home does not answer")

// keyring remembers what stands in the members' authorized_keys: a key's owner
// must be found by the key alone, because ssh says nothing but a workspace.
type keyring struct {
	turn     chan struct{} // holds one while somebody asks who the members are; it guards the next two
	members  []masu.User
	listedAt time.Time

	mu    sync.Mutex // guards what follows; no home is looked at with it held
	files map[masu.Username]*keyFile
}

// keyFile is one member's authorized_keys, as of its stamp.
type keyFile struct {
	stamp     string
	keys      []masu.SSHKey
	complaint string // what was last told of it
	lookedAt  time.Time
	looking   chan struct{} // closed when the look that goes on has ended; nil where none does
	away      bool          // nobody waits for that look any more
}

func newKeyring() *keyring {
	return &keyring{turn: make(chan struct{}, 1), files: map[masu.Username]*keyFile{}}
}

// of gives what is known of a member's file, and whether their home has stopped answering since.
func (r *keyring) of(name masu.Username) (keys []masu.SSHKey, away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[name]
	if f == nil {
		return nil, false
	}
	return f.keys, f.away
}

// lookAtHomes brings the keyring up to date with the files of those members at which
// nobody has looked for as long as fresh says. Homes are on networks: one that
// does not answer is left out, and holds one goroutine until it does.
func (l *Lab) lookAtHomes(ctx context.Context, fresh time.Duration, members ...masu.User) error {
	if l.cfg.KeyFile == nil || l.cfg.ReadKeys == nil {
		return nil
	}
	awaited := map[*keyFile]chan struct{}{}
	l.keyring.mu.Lock()
	for _, u := range members {
		if u.UID == 0 && !l.cfg.Personal {
			continue
		}
		f := l.keyring.files[u.Name]
		if f == nil {
			f = &keyFile{}
			l.keyring.files[u.Name] = f
		}
		if f.away || f.looking == nil && !f.lookedAt.IsZero() && time.Since(f.lookedAt) < fresh {
			continue
		}
		if f.looking == nil {
			f.looking = make(chan struct{})
			go l.readFile(u, f, f.stamp) // nothing can end it before the home answers
		}
		awaited[f] = f.looking
	}
	l.keyring.mu.Unlock()
	limit := time.NewTimer(homeTime)
	defer limit.Stop()
	late := false
	for f, done := range awaited {
		if !late {
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-limit.C:
				late = true
			}
		}
		l.keyring.mu.Lock()
		f.away = f.looking == done
		l.keyring.mu.Unlock()
	}
	return nil
}

// readFile looks at one member's authorized_keys, which has that stamp as far as anybody knows.
func (l *Lab) readFile(u masu.User, f *keyFile, stamp string) {
	text, now, err := l.cfg.KeyFile(u, stamp)
	if err != nil {
		text, now = nil, err.Error() // it is told once, and again when it changes
	}
	var keys []masu.SSHKey
	var complaint string
	if now != stamp {
		var refused []error
		keys, refused = l.cfg.ReadKeys(text)
		for i := range keys {
			keys[i].User, keys[i].File = u.Name, true
		}
		if err != nil {
			complaint = err.Error()
		} else if len(refused) > 0 {
			complaint = fmt.Sprintf("%d lines refused, the first: %v", len(refused), refused[0])
		}
	}
	l.keyring.mu.Lock()
	defer l.keyring.mu.Unlock()
	if now != stamp {
		if complaint != "" && complaint != f.complaint { // one line, however many it is about
			l.log.Warn("authorized_keys not used as it stands", "user", u.Name, "error", complaint)
		}
		f.stamp, f.keys, f.complaint = now, keys, complaint
	}
	close(f.looking)
	f.looking, f.away, f.lookedAt = nil, false, time.Now()
}

// everybody lists the members, as of late.
func (l *Lab) everybody(ctx context.Context) ([]masu.User, error) {
	r := l.keyring
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if time.Since(r.listedAt) < membersFresh {
		return r.members, nil
	}
	all, err := l.cfg.Accounts.All()
	if err != nil {
		return nil, err
	}
	r.members, r.listedAt = all, time.Now()
	there := map[masu.Username]bool{}
	for _, u := range all {
		there[u.Name] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, f := range r.files {
		if !there[name] && f.looking == nil {
			delete(r.files, name)
		}
	}
	return all, nil
}

// holders lists whose a key is: who added it, and in whose authorized_keys it
// stands. The one who is expected is looked at alone. Whose home does not
// answer may have taken the key out: nothing is said then.
func (l *Lab) holders(ctx context.Context, fingerprint string, expected masu.Username) ([]masu.SSHKey, error) {
	is := func(k masu.SSHKey) bool { return k.Fingerprint == fingerprint }
	var found []masu.SSHKey
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { found, err = tx.SSHKeyOf(fingerprint); return err })
	if err != nil {
		return nil, err
	}
	unsure := false
	if u, err := l.cfg.Accounts.ByName(expected); expected != "" && err == nil {
		if i := slices.IndexFunc(found, func(k masu.SSHKey) bool { return k.User == expected }); i >= 0 {
			return found[i:][:1], nil
		}
		if err := l.lookAtHomes(ctx, 0, u); err != nil {
			return nil, err
		}
		keys, away := l.keyring.of(expected)
		unsure = away
		if i := slices.IndexFunc(keys, is); i >= 0 && !away {
			return keys[i:][:1:1], nil
		}
	}
	members, err := l.everybody(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.lookAtHomes(ctx, keysFresh, members...); err != nil {
		return nil, err
	}
	for _, u := range members {
		keys, away := l.keyring.of(u.Name)
		i := slices.IndexFunc(keys, is)
		switch {
		case i < 0 || slices.ContainsFunc(found, func(k masu.SSHKey) bool { return k.User == u.Name }):
		case away:
			return nil, errHomeAway
		default:
			found = append(found, keys[i])
		}
	}
	if len(found) == 0 && unsure {
		return nil, errHomeAway
	}
	slices.SortFunc(found, func(a, b masu.SSHKey) int { return strings.Compare(string(a.User), string(b.User)) })
	return found, nil
}
