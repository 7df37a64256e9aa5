package masutest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/masu-lab/masu"
)

// FakeStore is a masu.Store in memory that passes the suite.
type FakeStore struct {
	lab   string
	write sync.Mutex
	now   atomic.Pointer[memory] // what is committed; never changed, only replaced
}

var _ masu.Store = (*FakeStore)(nil)

// memory is one moment. Nouns are kept as JSON, as a real store does, so that
// nobody shares them and what JSON loses is lost here too.
type memory struct {
	workspaces   map[masu.WorkspaceID][]byte
	leases       map[masu.LeaseID][]byte
	members      map[masu.Username][]byte
	sessions     map[string][]byte
	links        map[string][]byte
	tokens       map[string][]byte
	keys         map[string][]byte
	shared       map[string][]byte
	samples      map[sampleKey][]byte
	tickets      map[masu.WorkspaceID][]byte
	reservations map[masu.ReservationID][]byte
	uses         map[useKey][]byte
	runs         map[masu.WorkspaceID][]byte
	house        []byte
	rules        []byte
	events       [][]byte
}

// NewStore returns an empty store.
func NewStore() *FakeStore {
	s := &FakeStore{lab: strings.ToLower(rand.Text()[:12])}
	s.now.Store((&memory{}).clone())
	return s
}

func (m *memory) clone() *memory {
	c := memory{
		workspaces: maps.Clone(m.workspaces), leases: maps.Clone(m.leases), members: maps.Clone(m.members),
		sessions: maps.Clone(m.sessions), links: maps.Clone(m.links), tokens: maps.Clone(m.tokens), keys: maps.Clone(m.keys), shared: maps.Clone(m.shared),
		samples: maps.Clone(m.samples), tickets: maps.Clone(m.tickets), reservations: maps.Clone(m.reservations), uses: maps.Clone(m.uses), runs: maps.Clone(m.runs), house: m.house, rules: m.rules, events: slices.Clone(m.events),
	}
	if m.workspaces == nil {
		c.workspaces, c.leases, c.members = map[masu.WorkspaceID][]byte{}, map[masu.LeaseID][]byte{}, map[masu.Username][]byte{}
		c.sessions, c.links, c.tokens = map[string][]byte{}, map[string][]byte{}, map[string][]byte{}
		c.runs, c.keys = map[masu.WorkspaceID][]byte{}, map[string][]byte{}
		c.tickets, c.reservations, c.uses = map[masu.WorkspaceID][]byte{}, map[masu.ReservationID][]byte{}, map[useKey][]byte{}
		c.shared, c.samples = map[string][]byte{}, map[sampleKey][]byte{}
	}
	return &c
}

// View is masu.Store's.
func (s *FakeStore) View(ctx context.Context, f func(masu.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(&memoryTx{s.now.Load(), s.lab, true})
}

// Update is masu.Store's.
func (s *FakeStore) Update(ctx context.Context, f func(masu.Tx) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	next := s.now.Load().clone()
	if err := f(&memoryTx{next, s.lab, false}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.now.Store(next)
	return nil
}

// Close is masu.Store's.
func (s *FakeStore) Close() error { return nil }

type memoryTx struct {
	*memory
	lab      string
	readOnly bool
}

var errReadOnly = errors.New("masutest: a View cannot write")

func decode[T any](doc []byte) (T, error) {
	var noun T
	return noun, json.Unmarshal(doc, &noun)
}

// lookUp reads the noun at key; missing is the error when there is none.
func lookUp[T any, K comparable](all map[K][]byte, key K, missing error) (noun T, err error) {
	doc, ok := all[key]
	if !ok {
		return noun, missing
	}
	return decode[T](doc)
}

// pick reads the nouns that match, in order.
func pick[T any, K comparable](all map[K][]byte, match func(T) bool, order func(a, b T) int) ([]T, error) {
	var out []T
	for _, doc := range all {
		noun, err := decode[T](doc)
		if err != nil {
			return nil, err
		}
		if match(noun) {
			out = append(out, noun)
		}
	}
	slices.SortFunc(out, order)
	return out, nil
}

func keep[K comparable](t *memoryTx, all map[K][]byte, key K, noun any) error {
	if t.readOnly {
		return errReadOnly
	}
	doc, err := json.Marshal(noun)
	all[key] = doc
	return err
}

func drop[K comparable](t *memoryTx, all map[K][]byte, key K) error {
	if t.readOnly {
		return errReadOnly
	}
	delete(all, key)
	return nil
}

func (t *memoryTx) Lab() (string, error) { return t.lab, nil }

func (t *memoryTx) Workspace(id masu.WorkspaceID) (masu.Workspace, error) {
	return lookUp[masu.Workspace](t.workspaces, id, masu.E(masu.NotFound, "no_workspace", id))
}

func (t *memoryTx) findWorkspace(name string, match func(masu.Workspace) bool) (masu.Workspace, error) {
	found, err := pick(t.workspaces, match, func(a, b masu.Workspace) int { return 0 })
	if err == nil && len(found) == 0 {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	if err != nil {
		return masu.Workspace{}, err
	}
	return found[0], nil
}

func (t *memoryTx) WorkspaceNamed(owner masu.Username, name string) (masu.Workspace, error) {
	return t.findWorkspace(name, func(w masu.Workspace) bool { return w.Owner == owner && w.Name == name })
}

func (t *memoryTx) WorkspaceLabelled(label string) (masu.Workspace, error) {
	return t.findWorkspace(label, func(w masu.Workspace) bool { return w.Label == label })
}

func (t *memoryTx) Workspaces() ([]masu.Workspace, error) {
	return pick(t.workspaces, func(masu.Workspace) bool { return true }, byOwnerAndName)
}

func (t *memoryTx) WorkspacesOf(owner masu.Username) ([]masu.Workspace, error) {
	return pick(t.workspaces, func(w masu.Workspace) bool { return w.Owner == owner }, byOwnerAndName)
}

func byOwnerAndName(a, b masu.Workspace) int {
	return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name))
}

func (t *memoryTx) PutWorkspace(w masu.Workspace) error {
	others, err := pick(t.workspaces, func(o masu.Workspace) bool {
		return o.ID != w.ID && (o.Label == w.Label || o.Owner == w.Owner && o.Name == w.Name)
	}, byOwnerAndName)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return masu.E(masu.Conflict, "name_taken", w.Name)
	}
	return keep(t, t.workspaces, w.ID, w)
}

func (t *memoryTx) DeleteWorkspace(id masu.WorkspaceID) error { return drop(t, t.workspaces, id) }

func (t *memoryTx) Member(name masu.Username) (masu.Member, error) {
	return lookUp[masu.Member](t.members, name, masu.E(masu.NotFound, "no_member", name))
}

func (t *memoryTx) PutMember(m masu.Member) error { return keep(t, t.members, m.Name, m) }

func (t *memoryTx) Members() ([]masu.Member, error) {
	return pick(t.members, func(masu.Member) bool { return true }, func(a, b masu.Member) int { return cmp.Compare(a.Name, b.Name) })
}

func (t *memoryTx) Token(hash string) (masu.Token, error) {
	found, err := pick(t.tokens, func(k masu.Token) bool { return k.Hash == hash && time.Now().Before(k.Expires) }, func(a, b masu.Token) int { return 0 })
	if err == nil && len(found) == 0 {
		err = masu.E(masu.NotFound, "no_token")
	}
	if err != nil {
		return masu.Token{}, err
	}
	return found[0], nil
}

func (t *memoryTx) Tokens(user masu.Username) ([]masu.Token, error) {
	return pick(t.tokens, func(k masu.Token) bool { return k.User == user && time.Now().Before(k.Expires) }, func(a, b masu.Token) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
}

func (t *memoryTx) PutToken(k masu.Token) error { return keep(t, t.tokens, k.ID, k) }

func (t *memoryTx) DeleteToken(id string) error { return drop(t, t.tokens, id) }

func (t *memoryTx) House() (masu.House, error) {
	if t.house == nil {
		return masu.House{}, nil
	}
	return decode[masu.House](t.house)
}

func (t *memoryTx) PutHouse(h masu.House) (err error) {
	if t.readOnly {
		return errReadOnly
	}
	t.house, err = json.Marshal(h)
	return err
}

func (t *memoryTx) Rules() (masu.Rules, error) {
	if t.rules == nil {
		return masu.Rules{}, nil
	}
	return decode[masu.Rules](t.rules)
}

func (t *memoryTx) PutRules(r masu.Rules) (err error) {
	if t.readOnly {
		return errReadOnly
	}
	t.rules, err = json.Marshal(r)
	return err
}

func (t *memoryTx) Session(hash string) (masu.Session, error) {
	missing := masu.E(masu.NotFound, "no_session")
	s, err := lookUp[masu.Session](t.sessions, hash, missing)
	if err == nil && !time.Now().Before(s.Expires) {
		return masu.Session{}, missing
	}
	return s, err
}

func (t *memoryTx) Sessions(user masu.Username) ([]masu.Session, error) {
	now := time.Now()
	return pick(t.sessions, func(s masu.Session) bool { return (user == "" || s.User == user) && now.Before(s.Expires) }, func(a, b masu.Session) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Hash, b.Hash))
	})
}

func (t *memoryTx) PutSession(s masu.Session) error { return keep(t, t.sessions, s.Hash, s) }

func (t *memoryTx) DeleteSession(hash string) error { return drop(t, t.sessions, hash) }

func (t *memoryTx) PutLink(l masu.Link) error { return keep(t, t.links, l.Hash, l) }

func (t *memoryTx) TakeLink(hash string, now time.Time) (masu.Link, error) {
	missing := masu.E(masu.NotFound, "no_link")
	l, err := lookUp[masu.Link](t.links, hash, missing)
	if err != nil {
		return l, err
	}
	if err := drop(t, t.links, hash); err != nil {
		return masu.Link{}, err
	}
	if !now.Before(l.Expires) {
		return masu.Link{}, missing
	}
	return l, nil
}

func (t *memoryTx) Append(e masu.Event) error {
	if t.readOnly {
		return errReadOnly
	}
	e.Seq = int64(len(t.events)) + 1
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC()
	doc, err := json.Marshal(e)
	t.events = append(t.events, doc)
	return err
}

func (t *memoryTx) FindEvents(q masu.EventQuery) ([]masu.Event, error) {
	var out []masu.Event
	for _, doc := range slices.Backward(t.events) {
		e, err := decode[masu.Event](doc)
		if err != nil {
			return nil, err
		}
		if len(out) < q.Limit && q.Fits(e) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (t *memoryTx) Events(after int64, limit int) ([]masu.Event, error) {
	var out []masu.Event
	for i := max(after, 0); i < int64(len(t.events)) && len(out) < limit; i++ {
		e, err := decode[masu.Event](t.events[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
