package lab

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	keysMost    = 50
	keyLineMost = 16 << 10

	principalsMost = 32 // of a certificate, that are looked at
)

// ByKey finds whose a key is; see masu.Gate. The key alone decides: a name can
// only choose among members who all have it.
func (l *Lab) ByKey(ctx context.Context, o masu.KeyOffer) (masu.User, masu.KeyLimits, error) {
	find := l.holders
	if o.Principals != nil {
		find = l.named(o.Principals)
	}
	found, err := find(ctx, o.Fingerprint, o.Owner)
	if err != nil {
		return masu.User{}, masu.KeyLimits{}, err
	}
	if len(found) > 1 {
		err := masu.E(masu.Conflict, "key_of_many", "…")
		if o.Proven {
			names := make([]string, len(found))
			for i, k := range found {
				names[i] = string(k.User)
			}
			err.Args[0] = strings.Join(names, ", ")
		}
		return masu.User{}, masu.KeyLimits{}, err
	}
	if len(found) == 0 || !found[0].Limits.Allow(o.From, time.Now()) {
		return masu.User{}, masu.KeyLimits{}, wrong()
	}
	k := found[0]
	u, err := l.cfg.Accounts.ByName(k.User)
	if err == nil && u.UID == 0 && !l.cfg.Personal {
		err = wrong()
	}
	if err == nil {
		u, err = l.admit(ctx, u)
	}
	if o.Proven && (err == nil || masu.KindOf(err) == masu.Denied) {
		l.record(ctx, masu.Actor{User: masu.User{Name: k.User}, Door: masu.DoorSSH}, "signin", k.Fingerprint, err)
	}
	if err != nil {
		return masu.User{}, masu.KeyLimits{}, wrong()
	}
	if o.Proven && !k.File && o.Principals == nil {
		l.noteKeyUse(ctx, k)
	}
	return u, k.Limits, nil
}

// named gives the members among the logins that a certificate names, or the one who is expected.
func (l *Lab) named(principals []masu.Username) func(context.Context, string, masu.Username) ([]masu.SSHKey, error) {
	return func(_ context.Context, fingerprint string, expected masu.Username) (found []masu.SSHKey, err error) {
		if slices.Contains(principals, expected) {
			principals = []masu.Username{expected}
		}
		for _, name := range principals[:min(len(principals), principalsMost)] {
			if _, err := l.cfg.Accounts.ByName(name); err == nil && !slices.ContainsFunc(found, func(k masu.SSHKey) bool { return k.User == name }) {
				found = append(found, masu.SSHKey{Fingerprint: fingerprint, User: name})
			}
		}
		return found, nil
	}
}

func (l *Lab) noteKeyUse(ctx context.Context, k masu.SSHKey) {
	if time.Since(k.UsedAt) < time.Hour {
		return
	}
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.SSHKeyOf(k.Fingerprint)
		i := slices.IndexFunc(all, func(now masu.SSHKey) bool { return now.User == k.User })
		if err != nil || i < 0 {
			return err
		}
		all[i].UsedAt = time.Now()
		return tx.PutSSHKey(all[i])
	})
	if err != nil {
		l.log.Warn("note a key's use", "error", err)
	}
}

// Keys lists the actor's, those of the file last.
func (s *service) Keys(ctx context.Context) (list []masu.SSHKey, err error) {
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.SSHKeys(s.actor.Name); return err }); err != nil {
		return nil, err
	}
	if err := s.l.lookAtHomes(ctx, keysFresh, s.actor.User); err != nil {
		return nil, err
	}
	keys, away := s.l.keyring.of(s.actor.Name)
	if away {
		return list, nil
	}
	return append(list, keys...), nil
}

// AddKey adds one. Others may have it too, and are not told of: a public key is
// no secret, so neither can having it first keep its owner out, nor asking tell
// whose it is. Who holds the other half says by the name which of them they are. Nobody adds one with a token: it could outlive the token.
func (s *service) AddKey(ctx context.Context, line, name string) (k masu.SSHKey, err error) {
	if s.actor.Door == masu.DoorToken {
		return k, masu.E(masu.Denied, "not_by_token")
	}
	if k, err = s.readKey(line); err != nil {
		return masu.SSHKey{}, err
	}
	if name = strings.TrimSpace(name); name != "" {
		k.Name = name
	}
	if !printable(k.Name, nameMost) {
		return masu.SSHKey{}, masu.E(masu.Invalid, "key_name", nameMost)
	}
	k.User, k.At = s.actor.Name, time.Now()
	defer func() { s.l.record(ctx, s.actor, "key", k.Fingerprint, err) }()
	return k, s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.SSHKeys(s.actor.Name)
		if err == nil && len(all) >= keysMost {
			err = masu.E(masu.Full, "keys_full", keysMost)
		}
		if err == nil {
			err = tx.PutSSHKey(k)
		}
		return err
	})
}

// readKey takes one key without options, which are for files that programs read.
func (s *service) readKey(line string) (masu.SSHKey, error) {
	line = strings.TrimSpace(line)
	if s.l.cfg.ReadKeys == nil || line == "" || len(line) > keyLineMost || strings.ContainsAny(line, "\r\n\x00") {
		return masu.SSHKey{}, masu.E(masu.Invalid, "key_wrong")
	}
	keys, refused := s.l.cfg.ReadKeys([]byte(line))
	if err := errors.Join(refused...); err != nil {
		if e, ok := errors.AsType[*masu.Error](err); ok {
			return masu.SSHKey{}, e
		}
		return masu.SSHKey{}, masu.E(masu.Invalid, "key_wrong").Because(err)
	}
	if len(keys) != 1 || !strings.HasPrefix(line, keys[0].Key) {
		return masu.SSHKey{}, masu.E(masu.Invalid, "key_wrong")
	}
	return keys[0], nil
}

// RemoveKey removes one of the actor's. The gateway asks again within seconds, and ends what hangs on it.
func (s *service) RemoveKey(ctx context.Context, fingerprint string) (err error) {
	defer func() { s.l.record(ctx, s.actor, "key rm", fingerprint, err) }()
	list, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(k masu.SSHKey) bool { return k.Fingerprint == fingerprint })
	switch {
	case i < 0:
		return masu.E(masu.NotFound, "no_key", fingerprint)
	case list[i].File:
		return masu.E(masu.Conflict, "key_in_file")
	}
	return s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.DeleteSSHKey(s.actor.Name, fingerprint) })
}
