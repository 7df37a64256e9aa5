package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// evil is put wherever a person or a folder can put text.
const evil = `"><script>alert(1)</script>`

// fullBoard has GPUs in every state.
func fullBoard() masu.Board {
	now := time.Now()
	hold := func(who masu.Username, why masu.EndReason) masu.Hold {
		return masu.Hold{Lease: "l", Member: who, Since: now.Add(-time.Hour), Until: now.Add(time.Hour), EndsAt: now.Add(time.Minute), Why: why}
	}
	gpu := func(id masu.GPUID) masu.GPU { return masu.GPU{ID: id, Model: evil, Memory: 80 * masu.GiB} }
	b := masu.Board{At: now, GPUs: []masu.BoardGPU{
		{GPU: gpu("g"), Holds: []masu.Hold{hold("alice", masu.EndIdle)}, Reading: &masu.Reading{Busy: 0.5, Memory: 40 * masu.GiB, Temperature: 60, Power: 300}},
		{GPU: gpu("h"), Holds: []masu.Hold{hold(evil, masu.EndTime), {Member: "bob", Share: masu.GiB, Since: now}}, Reading: &masu.Reading{Busy: -1, Memory: -1, Temperature: -1, Power: -1}},
		{GPU: gpu("i"), Outside: []masu.OutsideUser{{Login: evil, Command: evil}, {}}}, {GPU: gpu("j")},
	}}
	for _, why := range []masu.EndReason{masu.EndReserved, masu.EndAdmin, masu.EndHolder, masu.EndLost} {
		b.GPUs = append(b.GPUs, masu.BoardGPU{GPU: gpu("k"), Holds: []masu.Hold{hold("bob", why)}})
	}
	for i, want := range []masu.Want{{Count: 2, Memory: 24 * masu.GiB, Model: evil}, {All: true}, {Share: masu.GiB}} {
		b.Waiting = append(b.Waiting, masu.Wait{Ticket: masu.Ticket{Holder: evil, Want: want, At: now}, Place: i + 1, Blocked: []masu.WaitReason{masu.WaitGPUs, masu.WaitMember, masu.WaitGroup}[i]})
	}
	b.Waiting = append(b.Waiting, masu.Wait{Ticket: masu.Ticket{Holder: "alice", Want: masu.Want{Count: 1}, At: now}, Place: 4, Expect: now, Blocked: masu.WaitGPUs})
	b.Reserved = []masu.Reservation{
		{ID: "r", Holder: "alice", GPUs: []masu.GPUID{"g", "j"}, From: now.Add(time.Minute), Until: now.Add(30 * time.Hour), Note: evil, Series: "s"},
		{ID: "m", Holder: evil, GPUs: []masu.GPUID{"j"}, From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour), Missed: true}}
	return b
}

// everyPage has each page with everything in it that it can show.
func everyPage(lang masu.Lang) map[string]page {
	failed := newProblem(lang, masu.E(masu.Invalid, "build_failed", 3, evil, 1))
	ws := masu.Workspace{ID: "x", Owner: "alice", Name: "thesis", Phase: masu.Running, Project: masu.Project{Dir: "/home/alice/実験" + evil, Source: "masu.yaml",
		Environment: masu.Environment{Preset: "pytorch", Base: "debian:13", Python: "3.9", Torch: "2.0.1", Apt: []string{"git"}, Pip: []string{evil}}, Notes: []masu.Note{{Code: "restart_needed", Args: []string{"x"}}}},
		Until: time.Now().Add(time.Hour), EndsAt: time.Now(), EndWhy: masu.EndIdle, Asked: []masu.Username{"bob", evil},
		GPUs: []masu.GPUID{"g"}, Apps: []masu.App{{Name: "p8000", Port: 8000}, {Name: "tensorboard"}, {Name: "jupyter"}},
		Sides: []masu.SideStatus{{Name: "db", State: masu.SideReady}, {Name: evil, State: masu.SideEnded, ExitCode: 3, Restarts: 8}, {Name: "s3", State: masu.SideEnded, OOM: true}, {Name: "q", State: masu.SideUnwell}}, ChangedAt: time.Now().Add(-time.Hour)}
	var list []masu.Workspace
	for _, p := range []masu.Phase{masu.Building, masu.Waiting, masu.Starting, masu.Running, masu.Stopping, masu.Stopped, masu.Failed} {
		w := ws
		w.Name, w.Phase, w.Trouble = string(p), p, &masu.Trouble{Kind: masu.Invalid, Code: "build_failed", Args: []string{"3", evil, "1"}}
		list = append(list, w)
	}
	hello := masu.Hello{Host: masu.Host{CPUs: 16, Memory: 128 * masu.GiB, GPUs: []masu.GPU{{ID: "g", Model: "NVIDIA A100", Memory: 80 * masu.GiB}, {ID: "h", Index: 1, Model: evil}}}}
	stopped := ws
	stopped.Phase = masu.Failed
	view := newWorkspace(lang, stopped, "alice")
	view.Changed, view.Next, view.Problem = true, "/open/thesis/jupyter?next=%2Flab"+evil, failed
	full := newWorkspace(lang, ws, "alice")
	full.Run = runForm{Shown: true, Path: "/w/thesis", Notebooks: []string{"train.ipynb", evil}, GPUs: []int{0, 1}, Classes: []string{evil}, Before: []runChoice{{evil, evil}},
		Command: evil, Notebook: evil, Limit: evil, Array: evil, Class: evil, Name: evil, At: "command", Problem: failed}
	full.Guests, full.GuestProblem = []masu.Username{"bob", evil}, failed
	sharing := ws
	sharing.Shares = []masu.AppShare{{App: "jupyter", With: evil, Port: 8888}, {App: "jupyter", Lab: true, Port: 8888}}
	full.Programs, full.ShareApp = newPrograms(lang, sharing, "alice"), newShareForm(sharing, masu.ReachLab)
	full.ShareApp.With, full.ShareApp.Problem = evil, failed
	part, _ := sharing.ShownTo(evil)
	away := part
	away.Phase, away.Apps = masu.Stopped, nil
	full.Graphs = newGraphs(lang, []masu.Sample{{At: time.Now().Add(-time.Hour), CPU: 1, Memory: masu.GiB}, {At: time.Now(), CPU: 2, GPUs: 2, GPU: 1}}, time.Now())
	full.Added = &addedView{Layer: masu.Layer{Apt: []string{evil}, Pip: []string{"requests==2.31.0"}}, Path: "/w/thesis"}
	use := masu.EnvironmentUse{Shared: masu.Shared{ID: "s", Owner: "alice", Title: evil, About: evil, Lab: true, Retired: evil, Text: evil}, Env: ws.Project.Environment, Size: masu.GiB, Members: []masu.Username{"alice", evil}}
	shared, others, own := newEnvironment(lang, use, "alice", false), newEnvironment(lang, use, "bob", false), newEnvironment(lang, masu.EnvironmentUse{Workspaces: []string{"thesis", "bert"}}, "alice", false)
	week := newWeek(lang, weekOf("", time.Now()), fullBoard(), fullBoard().Reserved, "alice", true, time.Now())
	return map[string]page{
		"signin": &signinView{Name: evil, Next: "/" + evil, Problem: failed, Plain: true},
		"home":   newHome(lang, hello, list, "alice", homeView{Folder: evil, Preset: "python", Problem: failed, Shared: newSharedApps(lang, part, evil)}),
		"home measured": &homeView{Board: newBoard(lang, masu.Board{Host: masu.Usage{CPU: masu.Fill{Used: 3, Total: 16}, Memory: masu.Fill{Used: 1, Total: 2}}, Images: masu.Fill{Used: 5, Total: 4},
			GPUs:  []masu.BoardGPU{{GPU: masu.GPU{ID: "g", Model: evil}}, {GPU: masu.GPU{ID: "h"}, Holds: []masu.Hold{{Member: evil, Workspace: evil, Notebooks: []string{evil}, Since: time.Now(), EndsAt: time.Now(), Why: masu.EndTime}}, Outside: []masu.OutsideUser{{Login: evil, Command: evil}}}, {GPU: masu.GPU{ID: "i", Fault: "xid 79"}, Reading: &masu.Reading{Faults: 2}}},
			Users: []masu.BoardUse{{Member: "alice", GPUs: 1}, {Member: evil}}}, "alice", map[masu.GPUID]string{"g": evil})},
		"gpus":            &gpusView{Board: newGPUBoard(lang, fullBoard(), "alice", map[masu.GPUID]string{"g": evil}), Problem: failed, Filled: reserveForm{"1", evil, evil, evil, evil, evil, evil, gpuWish{Model: evil, Memory: evil}}, Models: []string{evil}, Teacher: true, Week: week, Before: "2026-11-16", After: "2026-11-30", Feed: feedView{ID: "x", Address: evil}},
		"gpus subscribed": &gpusView{Week: week, Feed: feedView{ID: "x", At: time.Now()}},
		"gpus unknown":    &gpusView{Board: newGPUBoard(lang, masu.Board{Unknown: &masu.Trouble{Kind: masu.Unreachable, Code: "gpu_hangs", Args: []string{"20s"}}}, "alice", nil)},
		"usage": &usageView{Month: "2026-11", Before: "2026-10", After: "2026-12", All: true, Teacher: true, Sum: usageLine{Lent: "1"}, At: time.Now(), Trend: newTrend(lang, time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local), usageRows()), Projects: []usageLine{{Name: evil}}, Chart: newChart(lang, time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local), []masu.DayUse{{Day: 3, Lent: time.Hour, Busy: 2 * time.Hour}, {Day: 9, Lent: time.Minute}}),
			Members: newUsageLines(lang, usageRows(), "member"), Groups: newUsageLines(lang, usageRows(), "group"), Names: newUsageLines(lang, usageRows(), "name")},
		"wall": &wallView{Head: evil, Of: evil, Board: newGPUBoard(lang, fullBoard(), "", nil), At: time.Now()},
		"runs": &runsView{Runs: []runView{newRun(lang, masu.Run{ID: "r", Name: evil, Argv: []string{evil}, Phase: masu.RunRunning, StartedAt: time.Now(), Series: "s", Asked: []masu.Username{"bob", evil}, GPUs: []masu.GPUID{"g"}, GPUUsed: masu.GPUWork{Read: time.Hour, Busy: time.Minute, Energy: 9e5, Memory: masu.GiB}, Project: masu.Project{Dir: evil}}),
			newRun(lang, masu.Run{ID: "e", Phase: masu.RunEnded, Code: 3, Used: masu.Use{CPU: time.Hour, Memory: masu.GiB}, EndedAt: time.Now(), StartedAt: time.Now()}), newRun(lang, masu.Run{ID: "f", Phase: masu.RunFailed, Trouble: &masu.Trouble{Kind: masu.Conflict, Code: "run_after", Args: []string{evil}}}),
			newRun(lang, masu.Run{ID: "q", Phase: masu.RunQueued}), newRun(lang, masu.Run{ID: "c", Phase: masu.RunCancelled})}},
		"runs none": &runsView{},
		"run":       newRunPage(lang, notebookRun, evilNotebook()),
		"run drawn": func() page {
			p := newRunPage(lang, masu.Run{ID: "r", Name: evil, Phase: masu.RunRunning, StartedAt: time.Now()}, nil)
			p.Graphs = newRunGraphs(lang, p.run, []masu.Sample{{At: time.Now().Add(-time.Minute), GPUs: 1, GPU: -1}, {At: time.Now(), CPU: 2, GPUs: 1, GPU: -1}}, time.Now())
			return p
		}(),
		"run waits": newRunPage(lang, masu.Run{ID: "r", Name: "train", Phase: masu.RunQueued, Notebook: &masu.Notebook{Path: evil, Out: evil}}, nil),
		"run fails": func() page {
			p := newRunPage(lang, masu.Run{ID: "r", Phase: masu.RunFailed, Trouble: &masu.Trouble{Kind: masu.Conflict, Code: "run_limit", Args: []string{evil}}}, nil)
			p.Problem = failed
			return p
		}(),
		"usage none":   &usageView{Month: "2026-11", Teacher: true},
		"home empty":   newHome(lang, masu.Hello{}, nil, "alice", homeView{Folder: "~/work"}),
		"workspace":    full,
		"shared":       newShared(lang, part, evil),
		"shared away":  newShared(lang, away, "bob"),
		"guest":        newWorkspace(lang, ws, "bob"),
		"adopted":      newWorkspace(lang, masu.Workspace{ID: "a", Owner: "alice", Name: "hand", Phase: masu.Running, Adopted: &masu.Adoption{Container: evil}}, "alice"),
		"environments": &environmentsView{Mine: []environmentView{shared, own}, Lab: []environmentView{shared}},
		"compare": &compareView{A: withChosen([]sideChoice{{Value: "w/" + evil, Title: evil}}, "e/x", evil), B: []sideChoice{{Value: "w/x", Title: "x", Chosen: true}}, NameA: evil, NameB: "x", Ready: true, Asked: true,
			Groups: newDifferences(lang, side{env: masu.Environment{Apt: []string{"git"}, Pip: []string{"numpy==1.26.4", evil}, Run: []string{evil}, Locale: "ja_JP"}, title: evil}, side{env: masu.Environment{Preset: "python", Python: "3.12", Apt: []string{"vim"}, Pip: []string{"numpy"}, Timezone: "Asia/Tokyo"}, title: "x"})},
		"compare same":           &compareView{NameA: evil, NameB: evil, Ready: true},
		"compare none":           &compareView{},
		"environments none":      &environmentsView{},
		"environment":            &shared,
		"environment of another": &others,
		"failed":                 view,
		"new": &newView{Dir: evil, Above: []folderLink{{"~", "/new"}, {evil, "/new?dir=" + evil}}, Inside: []folderLink{{evil, "/new?dir=" + evil}}, More: true,
			Picks: picks(lang, "requirements.txt", []masu.Choice{{Preset: "pytorch", Torch: "2.9.0", CUDA: "cu126", Python: "3.12", Default: true}, {Preset: "python"}}, []masu.Shared{use.Shared}, &newForm{}),
			Text:  evil, Was: "x", GPUs: []int{0, 1, 2}, Wants: 1, Wish: gpuWish{Model: evil, Memory: evil, Share: evil, All: true}, Models: []string{evil}, Classes: []string{evil}, Class: evil, Name: evil, Plan: &planView{Name: evil, GPUs: []planGPU{{Model: evil, Says: evil}, {Free: true}}, Free: evil, Facts: facts(lang, ws), Built: true, Notes: []string{evil}}, Problem: failed},
		"settings": &settingsView{Notices: masu.NotifyWish{Webhook: evil, Mail: evil}, On: []occasionView{{masu.OccasionEnded, true}, {masu.OccasionServer, false}}, Sessions: []sessionView{{"h", evil, time.Now(), true}, {"i", "Firefox", time.Now(), false}}, Tokens: []masu.Token{{ID: "x", Name: evil, Scope: masu.ScopeAll, Expires: time.Now()}},
			Limits: []string{evil}, Secret: "masu_x", Done: evil, Problem: failed},
		"admin": &adminView{Members: []memberView{newMember(lang, masu.MemberUse{Name: "alice", Role: masu.RoleTeacher, Limits: masu.MemberLimits{Workspaces: new(int)}, GPUs: 2, UsedAt: time.Now()}, "boss"),
			newMember(lang, masu.MemberUse{Name: "bob", Disabled: true}, "boss"), newMember(lang, masu.MemberUse{Name: "carol", Gone: true}, "boss"), newMember(lang, masu.MemberUse{Name: "boss", Role: masu.RoleAdmin, ByHost: true}, "boss")},
			Workspaces: []labWorkspace{{"alice", newCard(lang, ws, "boss"), "x", "1 GiB", time.Now(), evil}}, Images: []imageView{newImage(masu.ImageUse{Image: masu.Image{ID: evil, Size: masu.GiB}}), newImage(masu.ImageUse{Image: masu.Image{Refs: []masu.ImageRef{"masu/env:1"}}, Owners: []masu.Username{"alice", "bob"}})},
			Prune: []imageView{newImage(masu.ImageUse{Image: masu.Image{ID: evil}})}, Gain: evil, Disk: measureView{evil, 3, evil, evil}, Homes: []homeUse{{evil, masu.GiB}}, House: masu.House{Banner: evil, ClosedAt: time.Now()}, Closed: true, Link: "http://localhost:8888/enter?code=x", For: evil, Problem: failed},
		"admin empty": &adminView{Rules: newRules(lang, masu.RulesNow{}, url.Values{"gpus": {evil}}, "gpus")},
		"member": &memberPage{Problem: failed, Heirs: []masu.Username{evil}, Handover: newHandover(lang, masu.Handover{From: evil, To: evil, Trouble: &masu.Trouble{Code: "handover_running", Args: []string{evil}},
			Workspaces: []masu.HandedWorkspace{{Name: evil, As: evil, Dir: evil}}, Folders: []masu.HandedFolder{{Dir: evil, At: evil, Owner: evil, Size: 1, Command: evil, Trouble: &masu.Trouble{Code: "folder_exists", Args: []string{evil}}}, {Dir: evil, At: evil, Given: true}}}),
			Limits: newLimits(masu.MemberLimits{Workspaces: new(int)}), Member: newMember(lang, masu.MemberUse{Name: evil, UID: 30001, Disabled: true}, "boss"), Shared: []environmentView{shared},
			Workspaces: []memberWorkspace{{newCard(lang, ws, "boss"), evil}, {newCard(lang, stopped, "boss"), ""}}},
		"member none": &memberPage{},
		"audit": &auditView{Query: masu.EventQuery{Actor: evil, Verb: "up"}, Days: 7, Older: "/audit?before=3", Whole: evil, Broken: failed,
			Events: []eventView{{masu.Event{Seq: 3, Actor: evil, Door: masu.DoorWeb, Verb: "up", Object: evil}, "2026", evil}, {masu.Event{Verb: "rebuild"}, "2026", ""}}},
		"new wrong": &newView{Plan: &planView{Problem: failed}},
		"sso":       &ssoView{To: "https://id.example/auth?x=" + evil, Name: evil},
		"sign sso":  &signinView{SSO: evil},
		"bar": &barView{Name: evil, App: evil, Path: "/w/x", Part: "/w/x/bar", Alone: "/open/x/jupyter?next=" + evil, Frame: "http://x.localhost:1/_masu/enter?code=x&frame=1",
			Now: barPart{Path: "/w/x", Running: true, Mine: true, Meters: newMeters(lang, fullBoard(), []masu.GPUID{"g", "h", "j"}), Memory: "1 GiB", Until: time.Now(), Lost: evil, Ending: evil, EndsAt: time.Now()}},
		"bar asked":   &barView{Now: barPart{Running: true, Mine: true, Asked: []masu.Username{"bob", evil}, Until: time.Now().Add(time.Hour)}},
		"bar turn":    &barView{Now: barPart{Path: "/w/x", Running: true, Mine: true, Turn: true, Ending: evil, EndsAt: time.Now()}},
		"bar closes":  &barView{Now: barPart{Running: true, House: houseView{Banner: evil, Closes: time.Now(), Left: "1"}}},
		"bar over":    &barView{Now: barPart{Running: true, Over: true}},
		"bar stopped": &barView{Now: barPart{Phase: masu.Stopped, Start: true, Mine: true, Problem: failed}},
		"framed":      &framedView{Problem: newProblem(lang, masu.E(masu.Denied, "frame_unkept")), Path: "http://localhost:8888/open/x/jupyter"},
		"wait":        &waitView{Name: evil, App: "Jupyter", Path: "http://localhost:8888/w/x"},
		"error":       &errorView{Status: 404, Problem: newProblem(lang, masu.E(masu.NotFound, "no_app", evil))},
	}
}

// TestEveryPage executes every template with its struct in both languages.
func TestEveryPage(t *testing.T) {
	l, err := newLooks()
	if err != nil {
		t.Fatal(err)
	}
	japanese := regexp.MustCompile(`\p{Hiragana}|\p{Katakana}`)
	sentenceless := regexp.MustCompile(`\b(web|time)\.[a-z_]+|%\[\d\]|%!|<no value>`)
	shown := map[string]bool{}
	for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
		for name, p := range everyPage(lang) {
			p.set(base{Title: p.title(lang), Lang: lang, Other: masu.English, Host: "gpu1", Version: "1.0", User: "alice", Here: "/" + evil, Admin: true, Notice: newHouse(lang, masu.House{Banner: evil, ClosedAt: time.Now().Add(time.Hour)}, time.Now())})
			b, err := l.render(lang, p.template(), p)
			if err != nil {
				t.Error(err)
				continue
			}
			shown[p.template()] = true
			html := string(b)
			_, seen, _ := strings.Cut(html, "<main")
			if strings.Contains(html, "<script>alert") {
				t.Errorf("%s in %s runs what people write", name, lang)
			}
			if found := sentenceless.FindString(seen); found != "" {
				t.Errorf("%s in %s shows %q", name, lang, found)
			}
			if found := japanese.FindString(strings.ReplaceAll(seen, "実験", "")); lang == masu.English && found != "" {
				t.Errorf("%s in English shows Japanese: %s", name, found)
			}
			checkHTML(t, name, html)
		}
	}
	for _, tmpl := range l.pages[masu.English].Templates() {
		if file := strings.TrimSuffix(tmpl.Name(), ".html"); file != tmpl.Name() && file != "frame" && file != "parts" && !shown[file] {
			t.Errorf("no test shows %s", tmpl.Name())
		}
	}
}

// checkHTML looks for what makes a page hard to use or wrong.
func checkHTML(t *testing.T, name, html string) {
	t.Helper()
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if ids[m[1]] && m[1] != "ws-x" { // the test shows one workspace in seven phases
			t.Errorf("%s: id %q stands twice", name, m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:for|aria-labelledby|aria-describedby)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if !ids[m[1]] {
			t.Errorf("%s: nothing is called %q", name, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:<label[^>]*>[^<]*)?<(?:input|select|textarea)[^>]*>`).FindAllString(html, -1) {
		if strings.HasPrefix(m, "<label") { // which holds its field
			continue
		}
		id := regexp.MustCompile(`\sid="([^"]*)"`).FindStringSubmatch(m)
		if !strings.Contains(m, `type="hidden"`) && (id == nil || !strings.Contains(html, `for="`+id[1]+`"`)) {
			t.Errorf("%s: a field without a label: %s", name, m)
		}
	}
	var open []string
	for _, m := range regexp.MustCompile(`<(/?)([a-z0-9]+)[^>]*?(/?)>`).FindAllStringSubmatch(html, -1) {
		switch {
		case m[3] == "/" || slices.Contains([]string{"meta", "link", "input", "br", "img"}, m[2]):
		case m[1] == "":
			open = append(open, m[2])
		case len(open) == 0 || open[len(open)-1] != m[2]:
			t.Errorf("%s: </%s> closes %v", name, m[2], open)
			return
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || strings.Count(html, "<h1") != 1 || strings.Count(html, "<main") != 1 {
		t.Errorf("%s: %v stay open; %d h1", name, open, strings.Count(html, "<h1"))
	}
}

// TestSentences: what the templates and the code say has a sentence, and no sentence of the pages is left over.
func TestSentences(t *testing.T) {
	said := map[string]bool{}
	for _, c := range text.Codes() {
		said[c] = strings.HasPrefix(c, "web.phase.") || strings.HasPrefix(c, "web.preset.") || strings.HasPrefix(c, "web.occasion.") || strings.HasPrefix(c, "web.rule.") || !strings.HasPrefix(c, "web.") && !strings.HasPrefix(c, "time.")
	}
	for _, r := range masu.HouseRules() {
		for _, code := range []string{"web.rule." + r.Name, "web.rules." + r.Group} {
			if _, ok := said[code]; !ok {
				t.Errorf("%s has no sentence %q", r.Name, code)
			}
		}
	}
	names, err := files.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, _ := files.ReadFile("templates/" + n.Name())
		for _, m := range regexp.MustCompile(`say "([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
			if _, ok := said[m[1]]; !ok {
				t.Errorf("%s: %q has no sentence", n.Name(), m[1])
			}
			said[m[1]] = true
		}
	}
	for c := range said { // made from a word of the dictionary
		if regexp.MustCompile(`^web\.(weekday|ending|blocked|side|scope|diff|reach|rules|limit)\.`).MatchString(c) {
			said[c] = true
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(web\.[a-z_.]+)"`).FindAllStringSubmatch(string(b), -1) {
			if !strings.HasSuffix(name, "_test.go") {
				said[m[1]] = true // whether it has a sentence, the text package's own test asks
			}
		}
	}
	for code, used := range said {
		if !used {
			t.Errorf("nobody says %q", code)
		}
	}
}

func TestDarkIsDarkTwice(t *testing.T) {
	b, err := files.ReadFile("static/masu.css")
	if err != nil {
		t.Fatal(err)
	}
	var dark []string
	for _, m := range regexp.MustCompile(`(?s):root(?::not\(\[data-theme=light\]\)|\[data-theme=dark\]) \{\s*(.*?)\s*\}`).FindAllSubmatch(b, -1) {
		dark = append(dark, strings.Join(strings.Fields(string(m[1])), " "))
	}
	if len(dark) != 2 || dark[0] != dark[1] || !strings.Contains(dark[0], "--bg") {
		t.Errorf("the system's dark and the switch's differ:\n%s", strings.Join(dark, "\n"))
	}
}

// TestFirstPageIsSmall: what a browser loads for the first page, compressed where it can be.
func TestFirstPageIsSmall(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	a := b.get("/signin")
	total := len(a.text)
	for _, m := range regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(a.text, -1) {
		f := b.get(m[1], "Accept-Encoding", "gzip")
		if f.StatusCode != 200 || f.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(f.Header.Get("Cache-Control"), "immutable") || f.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %v", m[1], f.Status, f.Header)
		}
		if plain := b.get(m[1], "Accept-Encoding", "identity"); plain.Header.Get("Content-Encoding") != "" || len(plain.text) <= len(f.text) && !strings.HasSuffix(m[1], "svg") && !strings.Contains(m[1], "theme") {
			t.Errorf("%s: compression gains nothing", m[1])
		}
		total += len(f.text)
	}
	if total > 100_000 || total < 5000 {
		t.Errorf("the first page is %d bytes", total)
	}
	if a := b.get("/static/masu.css"); a.StatusCode != 404 {
		t.Errorf("a file without its hash: %s", a.Status)
	}
}

func TestStart(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	b.signIn("alice")
	for said, dir := range map[string]string{"": "/home/alice/work", "~/work": "/home/alice/work", "~": "/home/alice", " ~/実験 ": "/home/alice/実験", "/data/x": "/data/x", "x/y": "/home/alice/x/y", "~bob": "/home/alice/~bob"} {
		g.lab.did = nil
		a := b.post("/start", url.Values{"folder": {said}, "preset": {"python"}})
		if a.Header.Get("Location") != "/w/new" || g.lab.doings() != "alice up "+dir+" python" {
			t.Errorf("%q: %s to %s, %q", said, a.Status, a.Header.Get("Location"), g.lab.doings())
		}
	}
	if a := b.post("/start", url.Values{"preset": {"evil"}}); a.StatusCode != 415 {
		t.Errorf("a preset that there is not: %s", a.Status)
	}
	g.lab.fail = masu.E(masu.Invalid, "folder_not_found", "/home/alice/x")
	a := b.post("/start", url.Values{"folder": {"~/x"}, "preset": {"python"}})
	if a.StatusCode != 400 || !strings.Contains(a.text, "/home/alice/x") || !strings.Contains(a.text, `value="~/x"`) || !strings.Contains(a.text, `value="python" selected`) {
		t.Errorf("a folder that there is not: %s\n%s", a.Status, a.text)
	}
	g.lab.fail = errors.New("the secret cause")
	if a := b.post("/start", nil); a.StatusCode != 500 || strings.Contains(a.text, "secret cause") || !strings.Contains(g.log.String(), "secret cause") {
		t.Errorf("our own fault: %s", a.Status)
	}
}

func TestWorkspaceActs(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.signIn("alice")
	for _, c := range []struct {
		path     string
		form     url.Values
		to, done string
	}{
		{"/w/thesis/stop", nil, "/w/thesis", "alice stop thesis"},
		{"/w/thesis/start", nil, "/w/thesis", "alice up thesis"},
		{"/w/thesis/restart", nil, "/w/thesis", "alice up thesis restart"},
		{"/w/thesis/meanwhile", nil, "/w/thesis", "alice up thesis or-cpu"},
		{"/w/thesis/release", nil, "/w/thesis", "alice release thesis"},
		{"/w/thesis/remove", url.Values{"confirm": {"thesis"}}, "/", "alice remove thesis-alice"},
		{"/w/thesis/remove", url.Values{"confirm": {"Thesis"}}, "", ""},
		{"/w/thesis/remove", nil, "", ""},
		{"/w/other/remove", url.Values{"confirm": {"other"}}, "", ""},
	} {
		g.lab.did = nil
		a := b.post(c.path, c.form)
		if done := strings.Join(strings.Fields(g.lab.doings()), " "); a.Header.Get("Location") != c.to || done != c.done || c.to == "" && a.StatusCode < 400 {
			t.Errorf("%s %v: %s to %q, did %q", c.path, c.form, a.Status, a.Header.Get("Location"), done)
		}
	}
}

// TestWithoutGPU: what somebody who has no GPU now can do about it.
func TestWithoutGPU(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	b.signIn("alice")
	one := masu.Want{Count: 1}
	for _, c := range []struct {
		name      string
		change    func(*masu.Workspace)
		offers    []string // addresses of forms
		says, not string
	}{
		{"it waits", func(w *masu.Workspace) { w.Phase, w.Apps = masu.Waiting, nil }, []string{"meanwhile", "stop"}, "Begin on the CPU meanwhile", ""},
		{"it waits on the CPU", func(w *masu.Workspace) { w.Waits = true }, []string{"release", "stop"}, "waits for its GPU", "restart"},
		{"its turn has come", func(w *masu.Workspace) { w.EndsAt, w.EndWhy = time.Now().Add(time.Minute), masu.EndUnclaimed }, []string{"restart", "release", "stop"}, "Your turn has come", "extend"},
		{"its GPU was taken back", func(w *masu.Workspace) {
			w.Trouble = &masu.Trouble{Kind: masu.Conflict, Code: "lease_idle", Args: []string{"60", "2"}}
		}, []string{"restart", "stop"}, "not used for 60 minutes (waiting for GPUs: 2)", "release"},
		{"its box may not reach it", func(w *masu.Workspace) { w.GPUs, w.Lost = []masu.GPUID{"g"}, true }, []string{"restart", "extend", "stop"}, "thesis has lost its GPU", "on the CPU"},
		{"it has one", func(w *masu.Workspace) { w.GPUs = []masu.GPUID{"g"} }, []string{"extend", "release", "stop"}, "GPU × 1", "on the CPU"},
	} {
		w := running("alice", "thesis")
		w.Project.Want = one
		c.change(&w)
		g.lab.set(w)
		page := b.get("/w/thesis").text
		state := page[strings.Index(page, `id="state"`):]
		state = state[:strings.Index(state, "</div>\n</div>\n")+1]
		for _, form := range c.offers {
			if !strings.Contains(page, `action="/w/thesis/`+form+`"`) {
				t.Errorf("%s: %s is not offered", c.name, form)
			}
		}
		if !strings.Contains(page, c.says) || c.not != "" && strings.Contains(state, c.not) {
			t.Errorf("%s: says %q? and not %q\n%s", c.name, c.says, c.not, state)
		}
	}
}

// reader reads server-sent events.
type reader struct {
	t  *testing.T
	br *bufio.Reader
}

func (b *browser) events(t *testing.T, path string) (*reader, *http.Response) {
	t.Helper()
	q, _ := http.NewRequestWithContext(t.Context(), "GET", b.base+path, nil)
	q.Header.Set("Accept", "text/event-stream")
	resp, err := b.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &reader{t, bufio.NewReader(resp.Body)}, resp
}

// next waits for an event and gives its data.
func (r *reader) next(name string, data any) {
	r.t.Helper()
	var got string
	for {
		l, err := r.br.ReadString('\n')
		if err != nil {
			r.t.Fatalf("waiting for %q: %v", name, err)
		}
		if n, ok := strings.CutPrefix(l, "event: "); ok {
			got = strings.TrimSpace(n)
		}
		if d, ok := strings.CutPrefix(l, "data: "); ok {
			if got != name {
				r.t.Fatalf("%q came for %q: %s", got, name, d)
			}
			if err := json.Unmarshal([]byte(d), data); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
}

func TestHomeLives(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	g.lab.set(running("bob", "secret"))
	b := g.browser()
	b.signIn("alice")
	events, resp := b.events(t, "/events")
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatal(kind)
	}
	var ids []string
	events.next("list", &ids)
	if !reflect.DeepEqual(ids, []string{"thesis-alice"}) {
		t.Errorf("alice sees %v", ids)
	}
	var c cardEvent
	events.next("workspace", &c)
	if c.ID != "thesis-alice" || c.Phase != masu.Running || !strings.Contains(c.HTML, `data-open="jupyter"`) {
		t.Errorf("%+v", c)
	}
	w := running("alice", "thesis")
	w.Phase = ""
	g.lab.set(w)
	events.next("workspace", &c)
	if c = (cardEvent{ID: c.ID, Phase: c.Phase}); c.Phase != "" {
		t.Errorf("%+v", c)
	}
	b.post("/signout", nil)
	if _, err := events.br.ReadString('x'); err == nil {
		t.Error("the stream outlives the session")
	}
}

func TestWorkspaceLives(t *testing.T) {
	g := newRig(t)
	w := running("alice", "thesis")
	w.Phase = masu.Building
	g.lab.set(w)
	g.lab.tell(masu.Progress{Code: "web.plain"}, masu.Progress{Step: "1", Name: "RUN x", State: masu.StepRunning})
	b := g.browser()
	b.signIn("alice")
	events, _ := b.events(t, "/w/thesis/events")
	var c cardEvent
	var p progressEvent
	var none any
	events.next("state", &c)
	if c.Phase != masu.Building || !strings.Contains(c.HTML, `id="state"`) {
		t.Errorf("%+v", c)
	}
	events.next("begin", &none)
	if events.next("progress", &p); p.Say != text.Say(masu.English, "web.plain") {
		t.Errorf("%+v", p)
	}
	if events.next("progress", &p); p.Step != "1" || p.Name != "RUN x" || p.State != masu.StepRunning || p.Line != nil {
		t.Errorf("%+v", p)
	}
	g.lab.tell(masu.Progress{Step: "1", Line: "\x1b[31mred\x1b[0m \x1b]0;title\x07x\x07", Current: masu.MiB, Total: 2 * masu.MiB})
	// What changes and what is told come in any order.
	for {
		l, err := events.br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(l, `"line":"red x"`) && strings.Contains(l, `"bytes":"1 MiB / 2 MiB"`) {
			break
		}
	}
	g.lab.set(running("alice", "thesis"))
	var ended, runs bool
	for !ended || !runs {
		l, err := events.br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		ended, runs = ended || l == "event: end\n", runs || strings.Contains(l, `"phase":"running"`)
	}
	a := b.get("/w/thesis/log")
	if a.Header.Get("Content-Type") != "text/plain; charset=utf-8" || a.text != "== "+text.Say(masu.English, "web.plain")+"\n[running] 1 RUN x\n1 | red x\n" {
		t.Errorf("as text: %q", a.text)
	}
	w.Phase = masu.Building
	g.lab.set(w)
	for again := false; !again; {
		l, err := events.br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		again = l == "event: begin\n"
	}
}

func TestPlainLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a\tb": "a\tb", "10%\r50%\r100%": "100%", "100%\r": "100%", "\x1b[1;31mred\x1b[0m": "red", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
		"\x1b[2K\x1b[1Gx": "x", "日本語": "日本語", "\x00\x08x\u0085": "x", "\x1bMx": "x", "": "",
	} {
		if got := plainLine(in); got != want {
			t.Errorf("plainLine(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSince(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 61 * time.Minute: "1 h 1 min", 47 * time.Hour: "47 h 0 min", 49 * time.Hour: "2 days"} {
		if got := since(masu.English, d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := fmt.Sprint(since(masu.Japanese, 3*time.Minute)); got != "3分" {
		t.Error(got)
	}
}
