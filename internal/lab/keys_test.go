package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// keyFiles are the members' authorized_keys.
type keyFiles struct {
	mu    sync.Mutex
	text  map[masu.Username]string
	reads int
}

func (w *world) keyFile(u masu.User, seen string) ([]byte, string, error) {
	w.keys.mu.Lock()
	defer w.keys.mu.Unlock()
	text, ok := w.keys.text[u.Name]
	if !ok {
		return nil, "", nil
	}
	if seen == text {
		return nil, text, nil
	}
	w.keys.reads++
	return []byte(text), text, nil
}

func (w *world) authorize(name masu.Username, text string) {
	w.keys.mu.Lock()
	defer w.keys.mu.Unlock()
	if w.keys.text == nil {
		w.keys.text = map[masu.Username]string{}
	}
	if w.keys.text[name] = text; text == "" {
		delete(w.keys.text, name)
	}
}

// everybody lists members of a lab.
type everybody struct {
	accounts
	names []masu.Username
}

func (e everybody) All() (list []masu.User, err error) {
	for i, n := range e.names {
		list = append(list, masu.User{Name: n, UID: 30000 + i})
	}
	return list, nil
}

const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGCxjg/a6b77iZceAYXyDNoLLmbpXyBtUNqcF6PMN1GL"
	fpA  = "SHA256:3Q+pJvkNReFVPpFLzKGBhLBcDy6MYx6ALNrmV8emr0o"
)

// TestByKey: the key alone decides who somebody is; what stands in a file holds
// as soon as the file has changed, and a key of two people is neither's.
func TestByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l, stop := w.daemon()
		defer stop()
		l.cfg.Accounts = everybody{names: []masu.Username{"alice", "bob", "mallory"}}
		home := netip.MustParseAddr("10.0.0.1")
		ask := func(o masu.KeyOffer) string {
			o.Fingerprint, o.From = fpA, home
			u, _, err := l.ByKey(t.Context(), o)
			if err != nil {
				return masu.CodeOf(err) + " " + strings.Join(argsOf(err), "")
			}
			return string(u.Name)
		}
		is := func(what, want string, o masu.KeyOffer) {
			t.Helper()
			if got := ask(o); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		is("nobody's", "signin_wrong ", masu.KeyOffer{})
		w.authorize("alice", keyA+" laptop\n")
		time.Sleep(keysFresh)
		is("hers", "alice", masu.KeyOffer{})
		is("hers, whoever is asked for", "alice", masu.KeyOffer{Owner: "bob"})
		is("proven", "alice", masu.KeyOffer{Proven: true})
		if events, err := l.As(masu.Actor{User: masu.User{Name: "alice"}}).Events(t.Context(), masu.EventQuery{Verb: "signin", Limit: 5}); err != nil || len(events) != 1 || events[0].Object != fpA || events[0].Door != masu.DoorSSH {
			t.Errorf("the log: %+v, %v", events, err)
		}
		w.authorize("mallory", "# hers\n"+keyA+"\n")
		time.Sleep(keysFresh)
		is("of two, before it is proven", "key_of_many …", masu.KeyOffer{})
		is("of two", "key_of_many alice, mallory", masu.KeyOffer{Proven: true})
		is("of two, one is named", "alice", masu.KeyOffer{Owner: "alice"})
		is("of two, neither is named", "key_of_many …", masu.KeyOffer{Owner: "bob"})
		_, err := l.As(masu.Actor{User: masu.User{Name: "mallory", UID: 30002}}).AddKey(t.Context(), keyA, "")
		if err != nil { // it keeps nobody out, and tells nothing of anybody
			t.Errorf("adding a key that another has: %v", err)
		}
		w.authorize("mallory", "")
		time.Sleep(keysFresh)
		is("of two again", "key_of_many alice, mallory", masu.KeyOffer{Proven: true})
		is("hers by name", "alice", masu.KeyOffer{Owner: "alice", Proven: true})
		if err := l.As(masu.Actor{User: masu.User{Name: "mallory", UID: 30002}}).RemoveKey(t.Context(), fpA); err != nil {
			t.Error(err)
		}
		is("hers again", "alice", masu.KeyOffer{})
		w.authorize("alice", `from="192.168.0.0/16" `+keyA)
		is("from elsewhere", "signin_wrong ", masu.KeyOffer{Owner: "alice"})
		w.authorize("alice", "")
		is("gone at once, for who is expected", "signin_wrong ", masu.KeyOffer{Owner: "alice"})

		bob := l.As(masu.Actor{User: masu.User{Name: "bob", UID: 30001}})
		if _, err := bob.AddKey(t.Context(), keyA, ""); err != nil {
			t.Fatal(err)
		}
		is("added", "bob", masu.KeyOffer{Proven: true})
		if list, err := bob.Keys(t.Context()); err != nil || len(list) != 1 || list[0].UsedAt.IsZero() {
			t.Errorf("its use is noted: %+v, %v", list, err)
		}
		disabled := true
		if err := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}}).ChangeMember(t.Context(), "bob", masu.MemberChange{Disabled: &disabled}); err != nil {
			t.Fatal(err)
		}
		is("disabled", "signin_wrong ", masu.KeyOffer{})
	})
}

// TestKeyFilesAreReadOnce: a lookup in a lab of 200 reads no file that it knows.
func TestKeyFilesAreReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l, stop := w.daemon()
		defer stop()
		var all everybody
		for i := range 200 {
			n := masu.Username(fmt.Sprintf("m%03d", i))
			all.names = append(all.names, n)
			w.authorize(n, "# nothing of "+string(n)+"\n")
		}
		l.cfg.Accounts = all
		for range 50 {
			if _, _, err := l.ByKey(t.Context(), masu.KeyOffer{Fingerprint: fpA}); masu.CodeOf(err) != "signin_wrong" {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if w.keys.reads != 200 {
			t.Errorf("200 files were read %d times", w.keys.reads)
		}
	})
}

func argsOf(err error) []string {
	if e, ok := err.(*masu.Error); ok {
		return e.Args
	}
	return nil
}

// TestAddKey: what is pasted is one strong key, and nothing else.
func TestAddKey(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	s := l.As(masu.Actor{User: masu.User{Name: "alice", UID: 30001}})
	for _, c := range []struct{ line, name, code string }{
		{`command="id" ` + keyA, "", "key_wrong"}, {`from="10.0.0.1" ` + keyA, "", "key_wrong"}, {"restrict " + keyA, "", "key_wrong"}, {keyA + "\r\n" + keyA, "", "key_wrong"},
		{"ssh-dss " + dss, "", "key_weak"}, {keyA, "a\nb", "key_name"}, {keyA, strings.Repeat("x", 61), "key_name"}, {keyA + " " + strings.Repeat("x", 17<<10), "", "key_wrong"},
	} {
		if _, err := s.AddKey(t.Context(), c.line, c.name); masu.CodeOf(err) != c.code {
			t.Errorf("%.40q: %v, want %s", c.line, err, c.code)
		}
	}
	w.authorize("alice", keyA+" from the file\n")
	if _, err := s.AddKey(t.Context(), keyA+"\r\n", "ノート"); err != nil {
		t.Error(err)
	}
	list, err := s.Keys(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "ノート" || !list[1].File || list[1].Name != "from the file" {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := s.RemoveKey(t.Context(), fpA); err != nil {
		t.Error(err)
	}
	if err := s.RemoveKey(t.Context(), fpA); masu.CodeOf(err) != "key_in_file" {
		t.Errorf("removing what stands in the file: %v", err)
	}
	token := l.As(masu.Actor{User: masu.User{Name: "alice", UID: 30001}, Door: masu.DoorToken})
	if _, err := token.AddKey(t.Context(), keyA, ""); masu.CodeOf(err) != "not_by_token" {
		t.Errorf("by a token: %v", err)
	}
}

// dss is a key of a kind that nobody should have any more.
const dss = "AAAAB3NzaC1kc3MAAACBALTRGgyCYJQ00W7T2EWA/72qI6lPZ1QG0W2VnNPjXHxg4HFM6sI7XQU/WZS3RQFrSF5/howPeQqTpAFloNkKd9J2vSj/laD8GvaBV1SnAuxXf7kSRRwNspUdy8Tmh5rcGJvdrel/gCCSBXPvFO8jZchcQFXOGAAHnsu7uGkXLHgrAAAAFQCknqROR3GsqobP0KxfoSZ2L2Pm2wAAAIAtgmN6xRm84EQee2fIc5J7cfKsbcq2BLnLeRfqobADIwfjBub1BAw+4YGyiOzk32ksMko1KNMvU8aGYGkPc1dD/l/7gA34cuPCIuS7KHW6pKc3lpI48IMIfiTKV5WkWbtJ92rMUHdL7jheul6nZwpDmdfj/4u+NJFhuzrA+eRPmwAAAIBpuWQ2M5orlk1Zya9nBbe9CvXxR9cDdr4VWsr0CWVfeEeCU2syD8lkxtbCfMCO77GocMFNtriaBbm/kBwN8wUPO1yBdy3F5N1D+oJudLwAnZgyZhR2o+Kk4cYcHCBix02j0ABSbT9cCOirXYzJeqAcTLA5hfaWNYEhsix+4fGVQA=="
