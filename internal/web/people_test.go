package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestSettings: what a member decides about themselves, on the page.
func TestSettings(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	b.signIn("alice")
	for _, c := range []struct {
		path string
		form url.Values
		code int
		says string
	}{
		{"/settings/password", url.Values{"password": {"one"}, "again": {"two"}}, 400, "passwords differ|2 回の入力が違います"},
		{"/settings/token", url.Values{"name": {"cron"}, "scope": {"read"}, "days": {"30"}}, 200, "masu_"},
		{"/settings/token", url.Values{"name": {"cron"}, "scope": {"everything"}, "days": {"30"}}, 400, "365"},
		{"/settings/token", url.Values{"name": {"cron"}, "scope": {"all"}, "days": {"x"}}, 400, "365"},
		{"/settings/key", url.Values{"key": {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGCxjg/a6b77iZceAYXyDNoLLmbpXyBtUNqcF6PMN1GL laptop"}}, 200, "SHA256:3Q"},
		{"/settings/key", url.Values{"key": {"<script>"}}, 400, "ssh"},
		{"/settings/key/delete", url.Values{"key": {"SHA256:3Q+pJvkNReFVPpFLzKGBhLBcDy6MYx6ALNrmV8emr0o"}}, 200, "消しました|removed"},
		{"/settings/key/delete", url.Values{"key": {"SHA256:none"}}, 404, "SHA256:none"},
		{"/settings/token/delete", url.Values{"token": {"none"}}, 404, "token|トークン"},
		{"/settings/session", url.Values{"session": {"none"}}, 404, "note bad"},
	} {
		a := b.post(c.path, c.form)
		found := false
		for _, s := range strings.Split(c.says, "|") {
			found = found || strings.Contains(a.text, s)
		}
		if a.StatusCode != c.code || !found {
			t.Errorf("%s %v: %s, not %d %q", c.path, c.form, a.Status, c.code, c.says)
		}
	}
	if a := b.get("/settings"); strings.Contains(a.text, "masu_") || !strings.Contains(a.text, "cron") {
		t.Error("a token's secret is shown again, or the token is not listed")
	}
}

// TestAdminIsForAdmins: for everybody else the admin's pages are not there.
func TestAdminIsForAdmins(t *testing.T) {
	g := newRig(t)
	acts := map[string]url.Values{
		"/admin/member": {"name": {"bob"}, "disabled": {"yes"}}, "/admin/invite": {"name": {"bob"}}, "/admin/house": {"banner": {"x"}},
		"/admin/stop": {"id": {"thesis-alice"}}, "/admin/prune": {}, "/admin/member/alice/limits": {"gpus": {"99"}}, "/admin/member/alice/handover": {"to": {"boss"}},
		"/admin/rules": {"guests": {"no"}, "workspaces": {"5"}},
	}
	stranger, alice, boss := g.browser(), g.browser(), g.browser()
	alice.signIn("alice")
	boss.signIn("boss")
	g.lab.set(running("alice", "thesis"))
	for path, form := range acts {
		if a := stranger.post(path, form); a.StatusCode != 403 && a.StatusCode != 401 {
			t.Errorf("a stranger at %s: %s", path, a.Status)
		}
		if a := alice.post(path, form); a.StatusCode != 404 {
			t.Errorf("a member at %s: %s", path, a.Status)
		}
		if a := boss.post(path, form, "Origin", "http://evil.example"); a.StatusCode != 403 {
			t.Errorf("another site in the admin's name at %s: %s", path, a.Status)
		}
	}
	if a := alice.get("/admin"); a.StatusCode != 404 {
		t.Errorf("a member looks: %s", a.Status)
	}
	if did := g.lab.doings(); did != "" {
		t.Errorf("done all the same: %s", did)
	}
	if a := alice.get("/"); strings.Contains(a.text, `href="/admin"`) {
		t.Error("a member is shown the way to the admin's page")
	}
	if a := alice.get("/audit?who=boss"); a.StatusCode != 403 {
		t.Errorf("another's log: %s", a.Status)
	}
	if a := alice.get("/audit.csv"); a.StatusCode != 200 || !strings.HasPrefix(a.text, "seq,at,actor") || strings.Contains(a.text, "boss") {
		t.Errorf("one's own log: %s\n%s", a.Status, a.text)
	}
}

// TestAdminActs: the page does what its buttons say.
func TestAdminActs(t *testing.T) {
	g := newRig(t)
	boss := g.browser()
	boss.signIn("boss")
	g.lab.set(running("alice", "thesis"))
	for path, form := range map[string]url.Values{
		"/admin/member": {"name": {"alice"}, "role": {"teacher"}}, "/admin/house": {"banner": {"Power cut on Friday"}}, "/admin/stop": {"id": {"thesis-alice"}}, "/admin/prune": {},
		"/admin/rules": {"guests": {"no"}, "workspaces": {"5"}, "memory": {"32"}, "disk": {"100"}, "cpus": {""}, "gpu_most_hours": {"48"}, "gpu_idle_always": {"yes"}, "reserve_gpu_hours": {"12.5"}},
	} {
		if a := boss.post(path, form); strings.TrimSuffix(a.Header.Get("Location"), "#rl") != "/admin" {
			t.Errorf("%s: %s\n%s", path, a.Status, a.text)
		}
	}
	if now, err := g.lab.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}}).Rules(t.Context()); err != nil || now.Set.Guests == nil || *now.Set.Guests ||
		*now.Set.Workspaces != 5 || *now.Set.Memory != 32*masu.GiB || *now.Set.Disk != 100*masu.GiB || *now.Set.GPUMostHours != 48 || !*now.Set.GPUIdleAlways || *now.Set.ReserveGPUHours != 12.5 || now.Set.CPUs != nil || now.Set.Sudo != nil {
		t.Errorf("rules: %+v, %v", now, err)
	}
	for _, form := range []url.Values{{"workspaces": {"-1"}}, {"memory": {"much"}}, {"cpus": {"-0.5"}}, {"gpu_keeps": {"1.5"}}, {"reserve_days": {"NaN"}}, {"gpu_grace_minutes": {"1e9"}}} {
		if a := boss.post("/admin/rules", form); a.StatusCode != 400 || !strings.Contains(a.text, "note bad") || strings.Count(a.text, `aria-invalid="true"`) != 1 {
			t.Errorf("%v: %s", form, a.Status)
		}
	}
	if a := boss.get("/admin/doctor"); a.StatusCode != 200 || strings.Contains(a.text, "<html") {
		t.Errorf("doctor: %s", a.Status)
	}
	if a := boss.get("/admin/member/alice"); a.StatusCode != 200 || !strings.Contains(a.text, "/home/alice/thesis") {
		t.Errorf("a member's page: %s", a.Status)
	}
	if a := boss.get("/admin/member/nobody"); a.StatusCode != 404 {
		t.Errorf("nobody's page: %s", a.Status)
	}
	for _, form := range []url.Values{{"name": {"boss"}, "disabled": {"yes"}}, {"name": {"alice"}, "role": {"king"}}} {
		if a := boss.post("/admin/member", form); a.StatusCode < 400 || !strings.Contains(a.text, "note bad") {
			t.Errorf("%v: %s", form, a.Status)
		}
	}
	limits := "/admin/member/alice/limits"
	if a := boss.post(limits, url.Values{"gpus": {"2"}, "memory": {"16"}, "disk": {"50"}, "images": {"0"}, "cpus": {""}}); a.Header.Get("Location") != "/admin/member/alice" {
		t.Errorf("limits: %s", a.Status)
	}
	for _, form := range []url.Values{{"gpus": {"many"}}, {"gpus": {"-1"}}, {"memory": {"0.1"}}, {"disk": {"0.1"}}, {"cpus": {"0"}}} {
		if a := boss.post(limits, form); a.StatusCode != 400 || !strings.Contains(a.text, "note bad") {
			t.Errorf("limits %v: %s", form, a.Status)
		}
	}
	if a := boss.get("/admin/member/alice"); !strings.Contains(a.text, `name="gpus" type="number" min="0" step="1" value="2"`) || !strings.Contains(a.text, `name="disk" type="number" min="0" step="0.25" value="50"`) || !strings.Contains(a.text, `name="images" type="number" min="0" step="0.25" value="0"`) || !strings.Contains(a.text, `name="memory" type="number" min="0" step="0.25" value="16"`) {
		t.Error("the page does not show the limits that were set, or shows those that were refused")
	}
	handover := "/admin/member/alice/handover"
	for _, c := range []struct {
		form url.Values
		code int
		says string
	}{
		{url.Values{"to": {"boss"}, "there": {"thesis", "other"}}, 404, "note bad"},
		{url.Values{"to": {"alice"}, "there": {"thesis"}, "workspace": {"thesis"}}, 409, "note bad"},
		{url.Values{"to": {"boss"}, "there": {"thesis"}, "workspace": {"thesis"}, "as.thesis": {"alices"}, "dry": {"yes"}}, 200, "sudo chown -R"},
		{url.Values{"to": {"boss"}, "there": {"thesis"}, "workspace": {"thesis"}, "as.thesis": {"alices"}}, 200, "sudo chown -R"},
	} {
		if a := boss.post(handover, c.form); a.StatusCode != c.code || !strings.Contains(a.text, c.says) {
			t.Errorf("hand over %v: %s", c.form, a.Status)
		}
	}
	if did := g.lab.doings(); !strings.Contains(did, "handover alice>boss thesis=alices") || strings.Count(did, "handover") != 1 {
		t.Errorf("handed over: %q", did)
	}
	if a := boss.post("/admin/invite", url.Values{"name": {"bob"}}); !strings.Contains(a.text, "/enter?code=") {
		t.Errorf("invite: %s", a.Status)
	}
	list, err := g.lab.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}}).Members(t.Context())
	if err != nil || len(list) == 0 || list[0].Name != "alice" || list[0].Role != masu.RoleTeacher {
		t.Errorf("%+v, %v", list, err)
	}
	if a := boss.get("/"); !strings.Contains(a.text, "Power cut on Friday") {
		t.Error("the notice is not on the first page")
	}
	if did := g.lab.doings(); !strings.Contains(did, "boss stop thesis-alice") || !strings.Contains(did, "boss prune") {
		t.Errorf("did %q", did)
	}
	if a := boss.post("/admin/house", url.Values{"close": {"15"}}); a.Header.Get("Location") != "/admin" {
		t.Errorf("close: %s", a.Status)
	}
	if a := boss.get("/admin"); !strings.Contains(a.text, `class="btn p">`) {
		t.Error("a closed house can't be opened again")
	}
}

func TestBrowserName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                    "Firefox · Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0": "Edge · Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/604.1": "Safari · iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36":        "Chrome · Mac",
		"curl/8": "Browser",
		"":       "Browser",
	} {
		if got := browserName(masu.English, agent); got != want {
			t.Errorf("%q: %q", agent, got)
		}
	}
}

// TestNoticesForm: the form says what is set, and takes what is ticked.
func TestNoticesForm(t *testing.T) {
	g := newRig(t)
	alice := g.browser()
	alice.signIn("alice")
	if a := alice.get("/settings"); strings.Contains(a.text, "on-server") || strings.Contains(a.text, "/settings/notices/try") || !strings.Contains(a.text, `value="ended" checked`) {
		t.Error("before anything was set")
	}
	if a := alice.post("/settings/notices", url.Values{"webhook": {" https://chat.example/x "}, "on": {"ended", "house"}}); a.StatusCode != 200 || !strings.Contains(a.text, `value="https://chat.example/x"`) {
		t.Errorf("set: %s", a.Status)
	}
	if a := alice.get("/settings"); strings.Contains(a.text, `value="ready" checked`) || !strings.Contains(a.text, `value="house" checked`) {
		t.Error("what was ticked is not")
	}
	if a := alice.post("/settings/notices", url.Values{"webhook": {"javascript:x"}}); a.StatusCode != 400 || !strings.Contains(a.text, "note bad") {
		t.Errorf("a wrong address: %s", a.Status)
	}
	if a := alice.post("/settings/notices/try", nil); a.StatusCode != 200 {
		t.Errorf("try: %s", a.Status)
	}
}

// TestAdminSeesAll: also what is stopped and failed, each with a way to its page;
// and what would be removed, before it is.
func TestAdminSeesAll(t *testing.T) {
	g := newRig(t)
	for name, phase := range map[string]masu.Phase{"thesis": masu.Running, "old": masu.Stopped, "broken": masu.Failed} {
		w := running("alice", name)
		w.Phase, w.Label, w.Disk, w.UsedAt = phase, name+"--alice", 3*masu.GiB, time.Now().Add(-49*time.Hour)
		g.lab.set(w)
	}
	g.lab.usage = []masu.UsageRow{{Member: "alice", Name: "old", Lent: 90 * time.Minute}}
	g.lab.measured.Images = masu.Fill{Used: float64(60 * masu.GiB), Total: float64(80 * masu.GiB)}
	g.lab.images = []masu.ImageUse{{Image: masu.Image{ID: "sha256:1", Refs: []masu.ImageRef{"masu/env:idle"}, Size: 2 * masu.GiB}}, {Image: masu.Image{ID: "sha256:2", Refs: []masu.ImageRef{"masu/env:used"}}, Owners: []masu.Username{"alice"}}}
	b := g.browser()
	b.signIn("boss")
	a := b.get("/admin", "Accept-Language", "en")
	for _, want := range []string{`href="/w/thesis--alice"`, `href="/w/old--alice"`, `href="/w/broken--alice"`, "3 GiB", "9 GiB", "1 h 30 min", "60 GiB", "75%", "at most 2 GiB"} {
		if !strings.Contains(a.text, want) {
			t.Errorf("the admin does not see %q", want)
		}
	}
	if n := strings.Count(a.text, `action="/admin/stop"`); n != 1 {
		t.Errorf("%d can be stopped", n)
	}
	_, prune, _ := strings.Cut(a.text, "at most 2 GiB")
	prune, _, _ = strings.Cut(prune, `action="/admin/prune"`)
	if !strings.Contains(prune, "masu/env:idle") || strings.Contains(prune, "masu/env:used") {
		t.Errorf("would be removed: %s", prune)
	}
	if a := b.get("/w/old--alice"); a.StatusCode != http.StatusOK {
		t.Errorf("the way to one: %s", a.Status)
	}
}
