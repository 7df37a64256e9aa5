package lab

import (
	"testing"

	"github.com/masu-lab/masu"
)

// TestDiskLimit: a workspace tells how much it takes and of how much; another
// rule holds from its next start, and what the member asks for never is above it.
func TestDiskLimit(t *testing.T) {
	w := newWorld(t)
	w.project = func(string) masu.Project { return masu.Project{Limits: masu.Limits{Disk: 900 * masu.GiB}} }
	w.policy = func(p *Policy) { p.Limits.Disk = 100 * masu.GiB }
	l, stop := w.daemon()
	defer stop()
	boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	s := l.As(actor("alice"))
	up := masu.UpRequest{Dir: t.TempDir(), Name: "work"}
	told := func() masu.Bytes {
		t.Helper()
		if _, err := s.Up(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		settled(t, s, "work")
		clear(l.diskAt)
		l.lookAtDisk(t.Context())
		ws, err := s.Workspace(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		return ws.DiskMax
	}
	if most := told(); most != 100*masu.GiB {
		t.Errorf("by the configuration: %v", most)
	}
	least, more := masu.Bytes(1), 200*masu.GiB
	if err := boss.SetRules(t.Context(), masu.Rules{Disk: &least}); masu.CodeOf(err) != "rules_wrong" {
		t.Errorf("a rule of one byte: %v", err)
	}
	if err := boss.SetRules(t.Context(), masu.Rules{Disk: &more}); err != nil {
		t.Fatal(err)
	}
	if most := told(); most != 100*masu.GiB || l.DiskLimit() != more {
		t.Errorf("what runs has %v, the rule is %v", most, l.DiskLimit())
	}
	up.Restart = true
	if most := told(); most != more {
		t.Errorf("begun again: %v", most)
	}
}
