package lab

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

const (
	linkFor  = 10 * time.Minute // a link that a person copies from a terminal
	enterFor = 30 * time.Second // a link that a browser follows at once

	sessionsMost = 100 // browsers that one member is signed in with
	entriesMost  = 500 // of theirs into workspaces; each opening of an app makes one
)

// gate remembers what signing in needs to remember outside the store.
type gate struct {
	hash *hasher

	mu      sync.Mutex
	buckets map[string]bucket
	ended   map[*endings]bool
}

func newGate(*Lab) *gate {
	return &gate{hash: newHasher(), buckets: map[string]bucket{}, ended: map[*endings]bool{}}
}

func secret() string { return rand.Text() + rand.Text() }

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func wrong() error { return masu.E(masu.Denied, "signin_wrong") }

// ByUID takes the kernel's word.
func (l *Lab) ByUID(ctx context.Context, uid int) (masu.User, error) {
	if l.cfg.Personal && uid != l.cfg.UID && uid != 0 {
		return masu.User{}, masu.E(masu.Denied, "not_a_member", uid)
	}
	u, err := l.cfg.Accounts.ByUID(uid)
	if err != nil {
		return u, masu.E(masu.Denied, "not_a_member", uid).Because(err)
	}
	return l.admit(ctx, u)
}

// admit adds what masu knows of an account, and refuses a disabled one.
func (l *Lab) admit(ctx context.Context, u masu.User) (masu.User, error) {
	var m masu.Member
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = kept(tx, u.Name); return err })
	if err != nil {
		return u, err
	}
	return admitted(u, m)
}

// kept is what masu keeps of a login, which may be nothing.
func kept(tx masu.Tx, name masu.Username) (masu.Member, error) {
	m, err := tx.Member(name)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return masu.Member{}, nil
	}
	return m, err
}

func admitted(u masu.User, m masu.Member) (masu.User, error) {
	if m.Disabled {
		return u, masu.E(masu.Denied, "not_a_member", u.UID)
	}
	if m.Name != "" {
		u.Lang, u.Role = m.Lang, m.Role
	}
	u.Admin = u.Admin || m.Role == masu.RoleAdmin
	if u.Admin {
		u.Role = masu.RoleAdmin
	}
	return u, nil
}

// ByPassword costs the same whatever is wrong.
func (l *Lab) ByPassword(ctx context.Context, name masu.Username, password string, from netip.Addr) (masu.User, error) {
	account := "account " + brief(string(name), nameMost)
	if wait := l.gate.tooOften(account, "address "+neighbourhood(from)); wait > 0 {
		l.turnedAway(metrics.TooOften)
		return masu.User{}, masu.E(masu.Full, "signin_too_often", int(wait/time.Second)+1)
	}
	var m masu.Member
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = tx.Member(name); return err })
	if err != nil && masu.KindOf(err) != masu.NotFound {
		return masu.User{}, err
	}
	ok, err := l.gate.hash.check(ctx, m.Password, password)
	if err != nil {
		return masu.User{}, err
	}
	if !ok {
		ok = l.vouched(ctx, name, password)
	}
	if !ok {
		l.turnedAway(metrics.ByPassword)
		l.record(ctx, masu.Actor{User: masu.User{Name: name}, Door: masu.DoorWeb}, "signin", "", wrong())
		return masu.User{}, wrong()
	}
	u, err := l.cfg.Accounts.ByName(name)
	if err == nil {
		u, err = l.admit(ctx, u)
	}
	if err != nil {
		l.turnedAway(metrics.ByPassword)
		return masu.User{}, wrong()
	}
	l.gate.forgive(account)
	return u, nil
}

// vouched asks somebody else about a password that is not masu's own.
func (l *Lab) vouched(ctx context.Context, name masu.Username, password string) bool {
	if l.cfg.Vouch == nil || password == "" || len(password) > maxPassword {
		return false
	}
	if u, err := l.cfg.Accounts.ByName(name); err != nil || u.UID == 0 {
		return false
	}
	ok, err := l.cfg.Vouch(ctx, name, password)
	if err != nil {
		l.log.Error("the host's own passwords cannot be asked about", "error", err) // masu's own go on
	}
	return ok && err == nil
}

// ByName finds a member whom somebody else has vouched for. Nobody's word but
// the kernel's and masu's own makes anybody root.
func (l *Lab) ByName(ctx context.Context, name masu.Username) (masu.User, error) {
	u, err := l.cfg.Accounts.ByName(name)
	if err == nil && u.UID == 0 {
		err = wrong()
	}
	if err == nil {
		u, err = l.admit(ctx, u)
	}
	if err != nil {
		l.turnedAway(metrics.ByService)
		l.record(ctx, masu.Actor{User: masu.User{Name: name}, Door: masu.DoorWeb}, "signin", "", wrong())
		return masu.User{}, wrong()
	}
	return u, nil
}

// ByLink takes a one-time link.
func (l *Lab) ByLink(ctx context.Context, code string) (u masu.User, link masu.Link, err error) {
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		link, err = tx.TakeLink(hashOf(code), time.Now())
		return err
	})
	if err == nil {
		u, err = l.cfg.Accounts.ByName(link.User)
	}
	if err == nil {
		u, err = l.admit(ctx, u)
	}
	if err != nil {
		l.turnedAway(metrics.ByLink)
		return masu.User{}, masu.Link{}, wrong()
	}
	return u, link, nil
}

// SignIn opens a session. Where a member has too many, the oldest ends for it.
func (l *Lab) SignIn(ctx context.Context, s masu.Session) (string, error) {
	code := secret()
	s.Hash, s.At = hashOf(code), time.Now()
	s.Expires = s.At.Add(l.policy().SessionFor)
	var over []masu.Session
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Sessions(s.User)
		over = crowdedOut(all, s.For != "")
		for _, x := range over {
			if err == nil {
				err = tx.DeleteSession(x.Hash)
			}
		}
		if err == nil {
			err = tx.PutSession(s)
		}
		return err
	})
	if err == nil {
		l.gate.tellSessions(over)
	}
	if err == nil && s.For == "" {
		l.record(ctx, masu.Actor{User: masu.User{Name: s.User}, Door: masu.DoorWeb}, "signin", "", nil)
	}
	return code, err
}

// BySession finds who a browser's secret belongs to; a session that hangs on another ends with it.
func (l *Lab) BySession(ctx context.Context, code string) (u masu.User, s masu.Session, err error) {
	var m masu.Member
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		if s, err = tx.Session(hashOf(code)); err != nil {
			return err
		}
		if s.Parent != "" {
			if _, err = tx.Session(s.Parent); err != nil {
				return err
			}
		}
		m, err = kept(tx, s.User)
		return err
	})
	if err == nil {
		u, err = l.cfg.Accounts.ByName(s.User)
	}
	if err == nil {
		u, err = admitted(u, m)
	}
	if err != nil {
		return masu.User{}, masu.Session{}, wrong()
	}
	return u, s, nil
}

// SignOut ends a session and those that hang on it.
func (l *Lab) SignOut(ctx context.Context, code string) error {
	var known masu.Session
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { known, err = tx.Session(hashOf(code)); return err })
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return nil
	}
	if err == nil {
		_, err = l.endSessions(ctx, known.User, func(x masu.Session) bool { return x.Hash == known.Hash || x.Parent == known.Hash })
	}
	l.record(ctx, masu.Actor{User: masu.User{Name: known.User}, Door: masu.DoorWeb}, "signout", "", err)
	return err
}

// EnterLink makes the code by which a signed-in browser enters a workspace's own origin.
// Whoever enters another's, as an admin who helps or as a guest, is written down.
func (l *Lab) EnterLink(ctx context.Context, s masu.Session, id masu.WorkspaceID, next string) (string, error) {
	w, err := l.stored(ctx, id)
	if err != nil {
		return "", err
	}
	if w.Owner != s.User {
		l.record(ctx, masu.Actor{User: masu.User{Name: s.User}, Door: masu.DoorWeb}, "open", w.Label, nil)
	}
	return l.link(ctx, masu.Link{User: s.User, For: id, Parent: s.Hash, Next: next}, enterFor)
}

func (l *Lab) link(ctx context.Context, link masu.Link, life time.Duration) (string, error) {
	code := secret()
	link.Hash, link.Expires = hashOf(code), time.Now().Add(life)
	return code, l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutLink(link) })
}

// bucket lets some tries through at once and then one in a while. The zero one is full.
type bucket struct {
	left float64
	at   time.Time
}

// tries tells how many there are at a time.
func (b bucket) tries(now time.Time) float64 {
	if b.at.IsZero() {
		return triesAtOnce
	}
	return min(triesAtOnce, b.left+float64(now.Sub(b.at))/float64(tryEvery))
}

const (
	triesAtOnce = 8
	tryEvery    = 15 * time.Second
	bucketsMost = 10000
)

// tooOften takes a try from each bucket, or says how long to wait. Nobody is ever
// locked out for good. Who is turned away leaves no trace: names can be made up without end.
func (g *gate) tooOften(keys ...string) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for _, k := range keys {
		if left := g.buckets[k].tries(now); left < 1 {
			wait = max(wait, time.Duration((1-left)*float64(tryEvery)))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, enough := range []float64{triesAtOnce - 1, 1} { // those that are used up are kept in any case
		if len(g.buckets) >= bucketsMost {
			maps.DeleteFunc(g.buckets, func(_ string, b bucket) bool { return b.tries(now) >= enough })
		}
	}
	for _, k := range keys {
		g.buckets[k] = bucket{g.buckets[k].tries(now) - 1, now}
	}
	return 0
}

func (g *gate) forgive(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.buckets, key)
}

// neighbourhood is what tries are counted for: whoever has one address of IPv6 has all of its network.
func neighbourhood(from netip.Addr) string {
	bits := 64
	if from = from.Unmap().WithZone(""); from.Is4() {
		bits = 32
	}
	p, err := from.Prefix(bits)
	if err != nil {
		return "" // no address
	}
	return p.String()
}
