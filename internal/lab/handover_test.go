package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// leaver has two workspaces, one run that is over, a shared environment and a reservation.
func leaver(t *testing.T) (w *world, boss, alice, bob masu.Service, dir string) {
	t.Helper()
	w = newWorld(t)
	w.gpus, w.state = a100s(2), t.TempDir()
	_, stop := w.daemon()
	t.Cleanup(stop)
	admin := actor("boss")
	admin.Admin = true
	boss, alice, bob = w.lab.As(admin), w.lab.As(actor("alice")), w.lab.As(actor("bob"))
	dir = t.TempDir()
	for _, name := range []string{"thesis", "data"} {
		at := filepath.Join(dir, name)
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: at, Name: name}); err != nil {
			t.Fatal(err)
		}
		settled(t, alice, name)
	}
	if _, err := alice.Admit(t.Context(), "thesis", "carol"); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Share(t.Context(), masu.ShareWish{Workspace: "thesis"}); err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(time.Hour)
	if _, err := alice.Reserve(t.Context(), masu.ReserveWish{Want: masu.Want{Count: 1}, From: from, Until: from.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	runs, err := alice.Submit(t.Context(), masu.RunWish{Dir: filepath.Join(dir, "thesis"), Argv: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.CancelRun(t.Context(), runs[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"thesis", "data"} {
		if _, err := alice.Stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return w, boss, alice, bob, dir
}

// TestHandover: all that a leaver has is the receiver's afterwards, who starts
// it and is told; whom the leaver had let in is let in no more; homes stay; what
// was lent in the past stays the leaver's.
func TestHandover(t *testing.T) {
	w, boss, alice, bob, dir := leaver(t)
	if err := bob.SetNotices(t.Context(), masu.NotifyWish{Webhook: "https://chat.example/x", On: masu.Occasions()}); err != nil {
		t.Fatal(err)
	}
	carol := w.lab.As(actor("carol"))
	if list, err := carol.Workspaces(t.Context(), false); err != nil || len(list) != 1 {
		t.Fatalf("a guest sees %+v, %v", list, err)
	}
	code, err := w.lab.SignIn(t.Context(), masu.Session{User: "carol", For: w.workspaces()[1].ID})
	if err != nil {
		t.Fatal(err)
	}
	before := w.workspaces()
	h, err := boss.Handover(t.Context(), masu.HandoverWish{From: "alice", To: "bob", As: map[string]string{"data": "alices-data"}})
	if err != nil || !h.Done || len(h.Workspaces) != 2 || len(h.Folders) != 2 || h.Runs != 1 || h.Environments != 1 || h.Reservations != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	for i, x := range w.workspaces() { // by owner, then name
		if x.ID != before[i].ID || x.Owner != "bob" || len(x.Guests) > 0 || x.Trouble == nil || x.Trouble.Code != "handed_over" || !strings.HasSuffix(x.Label, "--bob") {
			t.Errorf("%+v", x)
		}
		if err := w.lab.unshared(t.Context(), x.ID); masu.CodeOf(err) != "password_not_here" {
			t.Errorf("what the leaver left in the home of %s may set the receiver's password: %v", x.Label, err)
		}
	}
	if _, _, err := w.lab.BySession(t.Context(), code); err == nil {
		t.Error("a guest is still signed in at the workspace")
	}
	for _, s := range []masu.Service{alice, carol} {
		if list, err := s.Workspaces(t.Context(), false); err != nil || len(list) != 0 {
			t.Errorf("one who has no part in it sees %+v, %v", list, err)
		}
	}
	if runs, err := bob.Runs(t.Context(), false); err != nil || len(runs) != 1 || runs[0].Project.Dir != filepath.Join(dir, "thesis") {
		t.Errorf("runs: %+v, %v", runs, err)
	}
	w.view(func(tx masu.Tx) error {
		shared, err := tx.SharedEnvironments()
		reserved, rerr := tx.Reservations(time.Now())
		if len(shared) != 1 || shared[0].Owner != "bob" || len(reserved) != 1 || reserved[0].Holder != "bob" || err != nil || rerr != nil {
			t.Errorf("shared %+v, reserved %+v", shared, reserved)
		}
		return nil
	})
	if n := <-w.post.got; n.Member != "bob" || n.Occasion != masu.OccasionHouse || !strings.Contains(n.Title, "notice_handed[alice alices-data, thesis]") {
		t.Errorf("told %+v", n)
	}
	if _, err := bob.Up(t.Context(), masu.UpRequest{Name: "thesis"}); err != nil {
		t.Fatal(err)
	}
	if x := settled(t, bob, "thesis"); x.Phase != masu.Running || x.Trouble != nil {
		t.Errorf("the receiver starts it: %+v", x)
	}
	boxes, err := w.runtime.Boxes(t.Context())
	if err != nil || len(boxes) != 1 || boxes[0].Owner != "bob" {
		t.Errorf("boxes: %+v, %v", boxes, err)
	}
	events, err := boss.Events(t.Context(), masu.EventQuery{Verb: "handover", Limit: 10})
	if err != nil || len(events) != 3 || events[0].Object != "alice bob" || events[1].Object != "thesis--alice thesis--bob" {
		t.Errorf("the log: %+v, %v", events, err)
	}
}

// TestHandoverRefused: whatever cannot be is refused in its own words, and changes nothing.
func TestHandoverRefused(t *testing.T) {
	w, boss, alice, bob, dir := leaver(t)
	yes := true
	if err := boss.ChangeMember(t.Context(), "dora", masu.MemberChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "data"}); err != nil {
		t.Fatal(err)
	}
	settled(t, bob, "data")
	if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: filepath.Join(dir, "thesis"), Name: "second"}); err != nil {
		t.Fatal(err)
	}
	settled(t, alice, "second")
	if _, err := alice.Stop(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	before := w.workspaces()
	for name, c := range map[string]struct {
		by   masu.Service
		q    masu.HandoverWish
		code string
	}{
		"a member, of another's":  {bob, masu.HandoverWish{From: "alice", To: "bob"}, "not_admin"},
		"a member, of one's own":  {alice, masu.HandoverWish{From: "alice", To: "bob"}, "not_admin"},
		"a member, who only asks": {bob, masu.HandoverWish{From: "alice", To: "bob", Dry: true}, "not_admin"},
		"to oneself":              {boss, masu.HandoverWish{From: "alice", To: "alice"}, "handover_same"},
		"to nobody":               {boss, masu.HandoverWish{From: "alice", To: "nobody-known"}, "handover_to"},
		"to a disabled one":       {boss, masu.HandoverWish{From: "alice", To: "dora"}, "handover_to"},
		"from nobody":             {boss, masu.HandoverWish{From: "nobody-known", To: "bob"}, "no_member"},
		"a name that is taken":    {boss, masu.HandoverWish{From: "alice", To: "bob"}, "handover_name"},
		"two of one name":         {boss, masu.HandoverWish{From: "alice", To: "carol", As: map[string]string{"data": "thesis"}}, "handover_name"},
		"no name":                 {boss, masu.HandoverWish{From: "alice", To: "carol", As: map[string]string{"data": "../x"}}, "workspace_name"},
		"one that is not there":   {boss, masu.HandoverWish{From: "alice", To: "carol", Only: []string{"x"}}, "no_workspace"},
		"another's by that":       {boss, masu.HandoverWish{From: "alice", To: "carol", As: map[string]string{"x": "y"}}, "no_workspace"},
		"into no folder":          {boss, masu.HandoverWish{From: "alice", To: "carol", Into: "../bob"}, "folder_path_unclear"},
		"one that runs":           {boss, masu.HandoverWish{From: "bob", To: "carol"}, "handover_running"},
		"a folder of two":         {boss, masu.HandoverWish{From: "alice", To: "carol", Only: []string{"thesis"}}, "handover_folder"},
		"nothing":                 {boss, masu.HandoverWish{From: "carol", To: "bob"}, "handover_nothing"},
	} {
		if _, err := c.by.Handover(t.Context(), c.q); code(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	h, err := boss.Handover(t.Context(), masu.HandoverWish{From: "alice", To: "bob", Dry: true})
	if err != nil || h.Done || h.Trouble == nil || h.Trouble.Code != "handover_name" || len(h.Workspaces) != 3 {
		t.Errorf("what would be: %+v, %v", h, err)
	}
	for i, x := range w.workspaces() {
		if x.ID != before[i].ID || x.Owner != before[i].Owner || x.Name != before[i].Name {
			t.Errorf("changed: %+v, was %+v", x, before[i])
		}
	}
}

// TestFoldersOf: a folder in the leaver's home goes to the receiver's, one
// elsewhere stays, one inside another goes with it; and no name breaks the command.
func TestFoldersOf(t *testing.T) {
	alice := masu.User{Name: "alice", UID: 30001, Home: "/home/alice"}
	bob := masu.User{Name: "bob", UID: 30002, Home: "/home/bob"}
	gone := masu.User{Name: "alice", UID: -1, Home: "/home/alice"}
	in := func(dirs ...string) (all []masu.Workspace) {
		for _, d := range dirs {
			all = append(all, masu.Workspace{Project: masu.Project{Dir: d}})
		}
		return all
	}
	for name, c := range map[string]struct {
		from masu.User
		dirs []string
		into string
		want string // DIR>AT|COMMAND, a line each
	}{
		"nothing":      {alice, []string{""}, "", ""},
		"a home's":     {alice, []string{"/home/alice/thesis"}, "", "/home/alice/thesis>/home/bob/thesis|sudo mv -nT -- /home/alice/thesis /home/bob/thesis && sudo chown -R -P --from=alice bob: -- /home/bob/thesis"},
		"into":         {alice, []string{"/home/alice/a/thesis"}, "/home/bob/from-alice", "/home/alice/a/thesis>/home/bob/from-alice/thesis|sudo mv -nT -- /home/alice/a/thesis /home/bob/from-alice/thesis && sudo chown -R -P --from=alice bob: -- /home/bob/from-alice/thesis"},
		"elsewhere":    {alice, []string{"/data/alice"}, "", "/data/alice>/data/alice|sudo chown -R -P --from=alice bob: -- /data/alice"},
		"like a home":  {alice, []string{"/home/alice2/x"}, "", "/home/alice2/x>/home/alice2/x|sudo chown -R -P --from=alice bob: -- /home/alice2/x"},
		"one inside":   {alice, []string{"/data/a/b", "/data/a"}, "", "/data/a>/data/a|sudo chown -R -P --from=alice bob: -- /data/a"},
		"no login":     {gone, []string{"/data/a"}, "", "/data/a>/data/a|sudo chown -R -P bob: -- /data/a"},
		"hostile":      {alice, []string{"/data/$(reboot) 'x'; -rf"}, "", `/data/$(reboot) 'x'; -rf>/data/$(reboot) 'x'; -rf|sudo chown -R -P --from=alice bob: -- '/data/$(reboot) '\''x'\''; -rf'`},
		"of same name": {alice, []string{"/home/alice/a/x", "/home/alice/b/x"}, "", "/home/alice/a/x>/home/bob/x|sudo mv -nT -- /home/alice/a/x /home/bob/x && sudo chown -R -P --from=alice bob: -- /home/bob/x\n/home/alice/b/x>/home/bob/x-2|sudo mv -nT -- /home/alice/b/x /home/bob/x-2 && sudo chown -R -P --from=alice bob: -- /home/bob/x-2"},
	} {
		list, at := foldersOf(in(c.dirs...), c.from, bob, c.into)
		var lines []string
		for _, f := range list {
			lines = append(lines, f.Dir+">"+f.At+"|"+f.Command)
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
		for _, d := range c.dirs {
			if d != "" && at[d] == "" {
				t.Errorf("%s: nobody knows where %s is", name, d)
			}
		}
	}
	if _, at := foldersOf(in("/home/alice/p", "/home/alice/p/sub"), alice, bob, ""); at["/home/alice/p/sub"] != "/home/bob/p/sub" {
		t.Errorf("one inside another: %v", at)
	}
}

// TestGiveCommand: what an admin copies from a terminal, or from a page, is what
// it says there, whatever a leaver called a folder.
func TestGiveCommand(t *testing.T) {
	alice, bob := masu.User{Name: "alice", UID: 30001}, masu.User{Name: "bob", UID: 30002}
	for dir, want := range map[string]string{
		"/home/alice/thesis":                 "sudo chown -R -P --from=alice bob: -- /home/alice/thesis",
		"/home/alice/my thesis":              "sudo chown -R -P --from=alice bob: -- '/home/alice/my thesis'",
		"/home/alice/it's 研究":                `sudo chown -R -P --from=alice bob: -- '/home/alice/it'\''s 研究'`,
		"/home/alice/x\r\x1b[2Ksudo sh 'x\\": `sudo chown -R -P --from=alice bob: -- $'/home/alice/x\x0d\x1b[2Ksudo sh \'x\\'`,
		"/home/alice/a\u202eb\n":             `sudo chown -R -P --from=alice bob: -- $'/home/alice/a\xe2\x80\xaeb\x0a'`,
		"/home/alice/\xff":                   `sudo chown -R -P --from=alice bob: -- $'/home/alice/\xff'`,
	} {
		got := giveCommand(alice, bob, dir, dir)
		if got != want {
			t.Errorf("%q:\n%s\nwant\n%s", dir, got, want)
		}
		out, err := exec.Command("bash", "-c", "printf %s "+strings.TrimPrefix(got, "sudo chown -R -P --from=alice bob: -- ")).Output()
		if err == nil && string(out) != dir {
			t.Errorf("%q: bash takes it for %q", dir, out)
		}
	}
}
