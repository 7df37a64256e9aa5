package host

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// directory gives a Host with its own account files and, as its name service, a script.
func directory(t *testing.T, script string) *Host {
	t.Helper()
	h := newHost(t, Config{AdminGroups: []string{"staff"}})
	h.etc = t.TempDir()
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\n" +
			"alice:x:30001:30001:Alice,,,:/home/alice:/bin/bash\n" +
			"broken line\n\nhuge:x:99999999999:1::/:/bin/sh\nno:x:-1:1::/:/bin/sh\n" +
			"bob:x:30002:100::/home/bob:/bin/bash\ntwin:x:30001:30001::/home/twin:/bin/sh\n",
		"group":         "root:x:0:\nusers:x:100:\nalice:x:30001:alice\nstaff:x:50:bob,carol\nlab:x:500:alice,bob\nlab2:x:500:bob\n",
		"nsswitch.conf": "passwd: files ldap\ngroup:  files [NOTFOUND=continue] ldap\n",
	} {
		if err := os.WriteFile(filepath.Join(h.etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "getent"), []byte("#!/bin/sh\necho \"$@\" >>"+bin+"/asked\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return h
}

const ldap = `case "$2 $3" in
"passwd carol"|"passwd 40001") echo "carol:*:40001:40000:Carol:/net/carol:/bin/zsh";;
"passwd 30099") echo "other:*:30098:1::/:/bin/sh";;
"initgroups carol") echo "carol                40000 40002 50";;
"initgroups alice") echo "alice 500 40002";;
"group 40000"*) echo "phd:*:40000:"; echo "vision:*:40002:carol";;
"group 40002") echo "vision:*:40002:carol";;
*) exit 2;;
esac
`

func TestAccounts(t *testing.T) {
	h := directory(t, ldap)
	alice := masu.User{Name: "alice", UID: 30001, GID: 30001, Home: "/home/alice", Groups: []masu.Group{{Name: "lab", GID: 500}, {Name: "vision", GID: 40002}}}
	bob := masu.User{Name: "bob", UID: 30002, GID: 100, Home: "/home/bob", Admin: true, Groups: []masu.Group{{Name: "staff", GID: 50}, {Name: "lab", GID: 500}}}
	carol := masu.User{Name: "carol", UID: 40001, GID: 40000, Home: "/net/carol", Admin: true, Groups: []masu.Group{{Name: "staff", GID: 50}, {Name: "vision", GID: 40002}}}
	for _, want := range []masu.User{alice, bob, carol} {
		if u, err := h.ByName(want.Name); err != nil || !reflect.DeepEqual(u, want) {
			t.Errorf("ByName(%s) = %+v, %v", want.Name, u, err)
		}
		if u, err := h.ByUID(want.UID); err != nil || !reflect.DeepEqual(u, want) {
			t.Errorf("ByUID(%d) = %+v, %v", want.UID, u, err)
		}
	}
	if u, err := h.ByUID(0); err != nil || !u.Admin || u.Name != "root" {
		t.Errorf("root: %+v, %v", u, err)
	}
	for _, name := range []masu.Username{"nobody-here", "", "-i", "a:b", "30001", "0", "../x", "a b", "a\nb", masu.Username(strings.Repeat("a", 100_000)), "huge", "no"} {
		_, err := h.ByName(name)
		wantCode(t, err, masu.NotFound, "no_account")
		if len(err.Error()) > 200 {
			t.Errorf("the error repeats the whole name")
		}
	}
	for _, uid := range []int{-1, 30099, 99999} {
		_, err := h.ByUID(uid)
		wantCode(t, err, masu.NotFound, "no_account")
	}
}

// TestAccountsAreNotAskedForAgain: a directory on the network is not asked for
// every request, but for a new member soon.
func TestAccountsAreNotAskedForAgain(t *testing.T) {
	h := directory(t, ldap)
	count := func() int {
		b, err := os.ReadFile(filepath.Join(strings.Split(os.Getenv("PATH"), ":")[0], "asked"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "passwd carol")
	}
	for range 5 {
		if _, err := h.ByName("carol"); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for key, a := range h.asked {
		a.at = a.at.Add(-askAgain - time.Second)
		h.asked[key] = a
	}
	if _, err := h.ByName("carol"); err != nil || count() != 2 {
		t.Errorf("asked %d times, %v", count(), err)
	}
	for i := range 3 * maxAnswer {
		h.asked[strings.Repeat("x", i)] = answer{at: time.Now()}
		if i > maxAnswer {
			break
		}
	}
	if _, err := h.ByName("dave"); masu.CodeOf(err) != "no_account" || len(h.asked) > maxAnswer {
		t.Errorf("%d answers are kept, %v", len(h.asked), err)
	}
}
