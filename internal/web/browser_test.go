package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/masu-lab/masu"
)

// chromium is a real browser, spoken to by its own protocol.
type chromium struct {
	t       *testing.T
	conn    *websocket.Conn
	session string

	mu       sync.Mutex
	n        int
	waits    map[int]chan json.RawMessage
	loaded   chan struct{}
	troubles []string             // what the page complained of
	requests map[string]*transfer // since the last goTo, by the browser's own number
}

func newChromium(t *testing.T) *chromium {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+dir, "--remote-debugging-port=0", "about:blank")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "the profile is given back", func() bool { return os.RemoveAll(dir) == nil })
	})
	var port string
	eventually(t, "chromium listens", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port = strings.Replace(string(b), "\n", "", 1)
		return err == nil && strings.Contains(port, "/devtools/") // both lines are written: the file is there before they are
	})
	conn, _, err := websocket.Dial(t.Context(), "ws://127.0.0.1:"+port, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	c := &chromium{t: t, conn: conn, waits: map[int]chan json.RawMessage{}, loaded: make(chan struct{}, 100)}
	go c.listen(context.WithoutCancel(t.Context()))
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	c.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.call(domain+".enable", nil, nil)
	}
	c.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": watchShifts}, nil)
	return c
}

func (c *chromium) listen(ctx context.Context) {
	for {
		_, b, err := c.conn.Read(ctx)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Result json.RawMessage
			Error  *struct{ Message string }
			Params json.RawMessage
		}
		if json.Unmarshal(b, &m) != nil {
			continue
		}
		c.mu.Lock()
		switch {
		case m.ID > 0:
			if m.Error != nil && !strings.Contains(m.Error.Message, "navigated") && !strings.Contains(m.Error.Message, "context") { // the page was left before it could answer
				c.troubles = append(c.troubles, m.Error.Message)
			}
			c.waits[m.ID] <- m.Result
			delete(c.waits, m.ID)
		case m.Method == "Page.loadEventFired":
			c.loaded <- struct{}{}
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && !strings.Contains(string(m.Params), `"source":"network"`):
			c.troubles = append(c.troubles, string(m.Params))
		case strings.HasPrefix(m.Method, "Network."):
			c.transferred(m.Method, m.Params)
		}
		c.mu.Unlock()
	}
}

func (c *chromium) call(method string, params, result any) {
	c.t.Helper()
	c.mu.Lock()
	c.n++
	id, wait := c.n, make(chan json.RawMessage, 1)
	c.waits[id] = wait
	c.mu.Unlock()
	m := map[string]any{"id": id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if c.session != "" {
		m["sessionId"] = c.session
	}
	b, _ := json.Marshal(m)
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, b); err != nil {
		c.t.Fatal(err)
	}
	select {
	case r := <-wait:
		if result != nil && len(r) > 0 && json.Unmarshal(r, result) != nil {
			c.t.Fatalf("%s gave %s", method, r)
		}
	case <-time.After(20 * time.Second):
		c.t.Fatalf("%s is not answered", method)
	}
}

func (c *chromium) goTo(address string) {
	c.t.Helper()
	for len(c.loaded) > 0 {
		<-c.loaded
	}
	c.mu.Lock()
	c.requests = map[string]*transfer{}
	c.mu.Unlock()
	c.call("Page.navigate", map[string]any{"url": address}, nil)
	select {
	case <-c.loaded:
	case <-time.After(20 * time.Second):
		c.t.Fatalf("%s does not load", address)
	}
}

// eval gives the value of an expression on the page.
func (c *chromium) eval(expression string) any {
	c.t.Helper()
	var r struct{ Result struct{ Value any } }
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	return r.Result.Value
}

func (c *chromium) until(expression string) {
	c.t.Helper()
	eventually(c.t, expression, func() bool { return c.eval("Boolean("+expression+")") == true })
}

func (c *chromium) size(width int) {
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

func (c *chromium) scheme(scheme string) {
	c.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}, map[string]string{"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

func (c *chromium) lang(lang string) {
	c.call("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": lang}}, nil)
}

func (c *chromium) cookie(url, name, value string) {
	c.call("Network.setCookie", map[string]any{"url": url, "name": name, "value": value, "httpOnly": true}, nil)
}

// shoot keeps a picture of the whole page under MASU_SHOTS, where that is set.
func (c *chromium) shoot(name string) {
	c.t.Helper()
	dir := os.Getenv("MASU_SHOTS")
	if dir == "" {
		return
	}
	how, ext := map[string]any{"captureBeyondViewport": true}, ".png"
	if os.Getenv("MASU_SHOTS_WEBP") != "" { // small enough for the documentation
		how["format"], how["quality"], ext = "webp", 75, ".webp"
	}
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", how, &shot)
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+ext), b, 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// well fails if the page scrolls sideways, if what one reads moved though nobody
// touched anything, or if anything went wrong on it.
func (c *chromium) well(what string) {
	c.t.Helper()
	if over := c.eval("Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"); over != 0.0 {
		c.t.Errorf("%s is %v px too wide: %v", what, over, c.eval(`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.vh,.term')).map(e => e.tagName + '.' + e.className).slice(0, 5).join(' ')`))
	}
	if shift, _ := c.eval("window.masuShift?.sum ?? 0").(float64); shift > 0.001 && shift <= mostShift {
		c.t.Logf("%s moves by %.3f: %v", what, shift, c.eval("masuShift.what.join('; ')"))
	} else if shift > mostShift {
		c.t.Errorf("%s moves under the reader's eyes by %.3f: %v", what, shift, c.eval("masuShift.what.join('; ')"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, trouble := range c.troubles {
		c.t.Errorf("%s: %s", what, trouble)
	}
	c.troubles = nil
}

// axe examines the page for what keeps people with a screen reader, a keyboard
// or weak eyes from using it.
func (c *chromium) axe(script, what string) {
	c.t.Helper()
	if script == "" {
		return
	}
	c.eval(script + "; true")
	found, _ := c.eval(`axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ' at ' + v.nodes.slice(0, 3).map(n => n.target.join(' ')).join(', ')).join('; '))`).(string)
	if found != "" {
		c.t.Errorf("%s: %s", what, found)
	}
}

// axeScript is axe-core, which make setup fetches; "" where it is not there.
func axeScript(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../test/axe/node_modules/axe-core/axe.min.js")
	if err != nil && os.Getenv("MASU_TEST_ENGINE") != "" {
		t.Errorf("axe-core: %v", err) // make test has it
	}
	return string(b)
}

// aWeek is what people have reserved.
func aWeek() []masu.Reservation {
	monday := weekOf("", time.Now())
	at := func(day, hour int) time.Time { return monday.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour) }
	return []masu.Reservation{
		{ID: "r1", Holder: "tanaka", GPUs: []masu.GPUID{"2"}, From: at(3, 18), Until: at(4, 2), Note: "論文の締切"},
		{ID: "r2", Holder: "alice", GPUs: []masu.GPUID{"0", "1"}, From: at(6, 13), Until: at(6, 16), Note: "演習", Series: "s"},
		{ID: "r3", Holder: "ito", GPUs: []masu.GPUID{"1"}, From: at(5, 0), Until: at(6, 0)},
	}
}

// aLock is what an image has; a package without a version is not there.
func aLock(numpy, transformers, datasets string) masu.Contents {
	c := masu.Contents{Lock: masu.Lock{Image: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", Arch: "amd64", Python: "3.9.19"}}
	add := func(from, name, version string) {
		if version != "" {
			c.Lock.Packages = append(c.Lock.Packages, masu.Package{From: from, Name: name, Version: version})
		}
	}
	add(masu.FromApt, "git", "1:2.25.1-1ubuntu3.13")
	add(masu.FromPip, "datasets", datasets)
	add(masu.FromPip, "numpy", numpy)
	if datasets == "" {
		c.Lock.Image, c.Lock.Python = "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", "3.10.14"
		add(masu.FromPip, "safetensors", "0.4.3")
	}
	add(masu.FromPip, "transformers", transformers)
	return c
}

// aLab fills a lab as one may look on a working day.
func aLab(g *rig) {
	g.lab.hello = masu.Hello{Host: masu.Host{CPUs: 32, Memory: 128 * masu.GiB, GPUs: []masu.GPU{
		{ID: "0", Index: 0, Model: "NVIDIA A100 80GB PCIe", Memory: 80 * masu.GiB}, {ID: "1", Index: 1, Model: "NVIDIA A100 80GB PCIe", Memory: 80 * masu.GiB},
		{ID: "2", Index: 2, Model: "NVIDIA A100 80GB PCIe", Memory: 80 * masu.GiB}, {ID: "3", Index: 3, Model: "NVIDIA A100 80GB PCIe", Memory: 80 * masu.GiB}}}}
	w := running("alice", "train")
	w.GPUs = []masu.GPUID{"0"}
	w.Apps = append(w.Apps, masu.App{Name: "tensorboard", Port: 6006, Ready: true}, masu.App{Name: "p8501", Port: 8501, Ready: true})
	w.Project.Source = "masu.yaml"
	w.Project.Environment = masu.Environment{Base: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", Python: "3.9", Torch: "2.0.1", Apt: []string{"git", "vim"}, Pip: []string{"numpy==1.26.4", "transformers==4.38.2", "datasets==2.18.0"}}
	w.Guests = []masu.Username{"tanaka"}
	w.Project.Apps = []masu.AppWish{{Name: "jupyter"}, {Name: "tensorboard"}}
	w.Shares = []masu.AppShare{{App: "tensorboard", With: "suzuki", Port: 6006}, {App: "tensorboard", Lab: true, Port: 6006}}
	g.lab.hello.Reach = masu.ReachLab
	g.lab.contents = map[masu.WorkspaceID]masu.Contents{"train-alice": aLock("1.26.4", "4.38.2", "2.18.0")}
	g.lab.set(w)
	for i := range 340 { // six hours, with a pause
		if wave := float64(i%47) / 47; i < 120 || i > 150 {
			g.lab.samples = append(g.lab.samples, masu.Sample{At: time.Now().Add(time.Duration(i-340) * time.Minute), CPU: 1 + 6*wave*float64(i)/340, Memory: masu.Bytes(float64(10+i/40) * float64(masu.GiB)), GPUs: 1, GPU: min(1, 0.3+wave), GPUMemory: masu.Bytes(20+i/9) * masu.GiB})
		}
	}
	g.lab.byHand = masu.Layer{Apt: []string{"ffmpeg", "tree"}, Pip: []string{"einops==0.8.0"}}
	g.lab.shared["shared000001"] = masu.Shared{ID: "shared000001", Owner: "suzuki", Title: "画像の演習 2026", About: "画像認識の演習で使う環境です。\nPyTorch 2.0.1 と CUDA 11.8 に固定しています。", Lab: true, At: time.Now(),
		Env: w.Project.Environment, Lock: aLock("1.26.4", "4.41.0", "").Lock.Text(), Text: "# 画像の演習 2026\nbase: nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04\npython: \"3.9\"\ntorch: \"2.0.1\"\napt:\n  - git\n  - vim\npip:\n  - numpy==1.26.4\n  - transformers==4.38.2\n"}
	g.lab.shared["shared000002"] = masu.Shared{ID: "shared000002", Owner: "tanaka", Title: "画像の演習 2025", Lab: true, At: time.Now(), Retired: "2026 年度版を使ってください。", Env: masu.Environment{Preset: "pytorch", Torch: "1.13.1"}}
	g.lab.shared["shared000003"] = masu.Shared{ID: "shared000003", Owner: "alice", Title: "LLM 評価", At: time.Now(), Env: masu.Environment{Preset: "python", Pip: []string{"vllm==0.6.0"}}, Text: "preset: python\n"}
	theirs := running("suzuki", "demo")
	theirs.Guests = []masu.Username{"alice"}
	g.lab.set(theirs)
	board := running("suzuki", "board")
	board.Project.Apps = []masu.AppWish{{Name: "tensorboard"}, {Name: "results", Command: "streamlit run app.py", Port: 8501}}
	board.Apps = []masu.App{{Name: "tensorboard", Port: 6006, Ready: true}, {Name: "results", Port: 8501, Own: true, Rests: true}}
	board.Shares = []masu.AppShare{{App: "tensorboard", Lab: true, Port: 6006}, {App: "results", With: "alice", Port: 8501, Command: "streamlit run app.py"}}
	g.lab.set(board)
	g.lab.set(masu.Workspace{Owner: "alice", Name: "vit-finetune", Phase: masu.Building, Project: masu.Project{Dir: "/home/alice/実験/vit-finetune"}})
	g.lab.set(masu.Workspace{Owner: "alice", Name: "llm-eval", Phase: masu.Failed, Project: masu.Project{Dir: "/home/alice/llm-eval", Source: "requirements.txt", Environment: masu.Environment{Preset: "python", Pip: []string{"numpy==2.1.0"}}},
		Trouble: &masu.Trouble{Kind: masu.Invalid, Code: "build_failed", Args: []string{"5", "RUN pip install -r requirements.txt", "1"}}})
	g.lab.set(masu.Workspace{Owner: "alice", Name: "report", Phase: masu.Stopped, Project: masu.Project{Dir: "/home/alice/report"}})
	g.lab.set(running("suzuki", "eval"))
	g.lab.measured = masu.Board{Host: masu.Usage{CPU: masu.Fill{Used: 11.5, Total: 32}, Memory: masu.Fill{Used: 71 << 30, Total: 128 << 30}}, Images: masu.Fill{Used: 3.1e12, Total: 4e12},
		GPUs: []masu.BoardGPU{{GPU: g.lab.hello.Host.GPUs[0], Holds: []masu.Hold{{Lease: "l1", Member: "alice", Since: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(22 * time.Hour)}}, Reading: &masu.Reading{Busy: 0.92, Memory: 60 << 30, Temperature: 64, Power: 280}}, {GPU: g.lab.hello.Host.GPUs[1], Holds: []masu.Hold{{Lease: "l2", Member: "suzuki", Since: time.Now().Add(-26 * time.Hour), Until: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(12 * time.Minute), Why: masu.EndIdle}}, Reading: &masu.Reading{Memory: 70 << 30, Temperature: 38, Power: 68}},
			{GPU: g.lab.hello.Host.GPUs[2], Reading: &masu.Reading{Memory: 4 << 20, Temperature: 31, Power: 52}}, {GPU: g.lab.hello.Host.GPUs[3], Outside: []masu.OutsideUser{{Login: "root", Command: "python3 train.py", PID: 4121, Memory: 12 << 30}}, Reading: &masu.Reading{Busy: 0.34, Memory: 12 << 30, Temperature: 55, Power: 140}}},
		Waiting: []masu.Wait{{Ticket: masu.Ticket{Holder: "tanaka", Want: masu.Want{Count: 3}, At: time.Now().Add(-50 * time.Minute)}, Place: 1, Blocked: masu.WaitGPUs, Expect: time.Now().Add(2 * time.Hour)},
			{Ticket: masu.Ticket{Holder: "alice", Want: masu.Want{Count: 2}, At: time.Now().Add(-12 * time.Minute)}, Place: 2, Blocked: masu.WaitGPUs, Expect: time.Now().Add(26 * time.Hour)}},
		Reserved: aWeek(),
		Users:    []masu.BoardUse{{Member: "suzuki", Running: 1, CPU: 7.9, Memory: 40 << 30, GPUs: 1, Since: time.Now().Add(-26 * time.Hour)}, {Member: "alice", Running: 1, CPU: 2.4, Memory: 12 << 30, GPUs: 1, Since: time.Now().Add(-2 * time.Hour)}}}
	boss := g.lab.people.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}, Door: masu.DoorWeb})
	teacher, most := masu.RoleTeacher, 3
	for name, change := range map[masu.Username]masu.MemberChange{"alice": {Limits: masu.MemberLimits{Workspaces: &most}}, "suzuki": {Role: &teacher}, "tanaka": {Disabled: new(true)}} {
		if err := boss.ChangeMember(context.Background(), name, change); err != nil {
			panic(err)
		}
	}
	if _, err := g.lab.people.As(masu.Actor{User: masu.User{Name: "alice"}, Door: masu.DoorWeb}).NewToken(context.Background(), masu.TokenWish{Name: "夜のバッチ", Scope: masu.ScopeRead, Days: 30}); err != nil {
		panic(err)
	}
	g.lab.images = []masu.ImageUse{{Image: masu.Image{ID: "sha256:1", Refs: []masu.ImageRef{"masu/env:53d892627788"}, Size: 452 * masu.MiB}, Owners: []masu.Username{"alice", "suzuki"}},
		{Image: masu.Image{ID: "sha256:2", Refs: []masu.ImageRef{"masu/env:b4d9373f4f0e"}, Size: 6 * masu.GiB}}}
	if err := boss.SetHouse(context.Background(), masu.House{Banner: "金曜 18 時から停電です。 Power cut on Friday, 18:00."}); err != nil {
		panic(err)
	}
	at := time.Now().Add(-2 * time.Minute)
	step := func(n int, name string, state masu.ProgressState, after time.Duration) masu.Progress {
		return masu.Progress{Step: fmt.Sprint(n), Name: name, State: state, At: at.Add(after)}
	}
	g.lab.tell(masu.Progress{Code: "web.start", At: at},
		step(1, "FROM nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", masu.StepCached, 0),
		step(2, "RUN apt-get install --no-install-recommends git vim", masu.StepRunning, 0), step(2, "", masu.StepDone, 21*time.Second),
		step(5, "RUN pip install -r requirements.txt", masu.StepRunning, 22*time.Second),
		masu.Progress{Step: "5", State: masu.StepRunning, Line: "Collecting transformers==4.38.2"},
		masu.Progress{Step: "5", State: masu.StepRunning, Line: "  Using cached transformers-4.38.2-py3-none-any.whl (8.5 MB)"},
		masu.Progress{Step: "5", State: masu.StepRunning, Line: "\x1b[31mERROR: Could not find a version that satisfies the requirement numpy==2.1.0 (from versions: 1.3.0, 1.26.3, 1.26.4, 2.0.1, 2.0.2)\x1b[0m"},
		step(5, "RUN pip install -r requirements.txt", masu.StepFailed, 36*time.Second))
}

// aHome is a home with folders in it.
func aHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"bert", "data", "datasets-2026", "llm-eval", "report", "vit-finetune", "研究", "研究/実験 1"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// TestPagesInABrowser shows every page in both languages, wide and narrow,
// light and dark: none scrolls sideways, breaks its own policy, or throws.
func TestPagesInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	aLab(g)
	home, axe := aHome(t), axeScript(t)
	g.gate.home = home
	c := newChromium(t)
	base := "http://localhost:" + g.port
	alice, bob, boss := g.secret("alice"), g.secret("bob"), g.secret("boss")
	app, err := g.gate.SignIn(t.Context(), masu.Session{User: "alice", For: "train-alice"})
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://train--alice.localhost:" + g.port
	run := aRun(t, g)
	g.lab.dial = masu.E(masu.Unreachable, "port_silent", 8888)
	type look struct {
		width  int
		scheme string
	}
	looks := []look{{1280, "light"}, {360, "dark"}}
	if os.Getenv("MASU_SHOTS") != "" {
		looks = append(looks, look{1280, "dark"}, look{390, "light"})
	}
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for _, look := range looks {
			c.size(look.width)
			c.scheme(look.scheme)
			for _, page := range []struct{ name, session, address, ready string }{
				{"signin", "", base + "/signin", ""},
				{"link-used", "", base + "/enter?code=x", ""},
				{"home", alice, base + "/", "document.querySelectorAll('#cards > .card').length === 5 && document.querySelector('#shared-h') && document.querySelector('#board .lines')"},
				{"first", bob, base + "/", ""},
				{"running", alice, base + "/w/train?changed=1", "document.querySelectorAll('#steps details').length === 3 && document.querySelector('#added-h')"},
				{"failed", alice, base + "/w/llm-eval", "document.querySelector('details[open] .term')"},
				{"building", alice, base + "/w/vit-finetune?go=jupyter", "document.querySelectorAll('#steps details').length === 3"},
				{"next", alice, base + "/w/report?go=jupyter", ""},
				{"new", alice, base + "/new?env=edit", "document.querySelector('#plan .kv')"},
				{"new-folder", alice, base + "/new?dir=" + home + "/研究", ""},
				{"guest", alice, base + "/w/demo--suzuki", ""},
				{"gpus", alice, base + "/gpus", "document.querySelectorAll('.board.four > li').length === 4"},
				{"runs", alice, base + "/runs", "document.querySelector('.card')"},
				{"run", alice, base + run, "document.querySelector('img') && [...document.images].every(i => i.complete)"},
				{"environments", alice, base + "/environments", "document.querySelectorAll('.tiles > li').length === 3"},
				{"compare", alice, base + "/compare?a=w/train&b=e/shared000001", "document.querySelectorAll('table').length === 4"},
				{"shared", alice, base + "/w/board--suzuki", ""},
				{"environment", alice, base + "/e/shared000003", ""},
				{"new-shared", alice, base + "/new?shared=shared000001", "document.querySelector('#plan .kv')"},
				{"settings", alice, base + "/settings", ""},
				{"admin", boss, base + "/admin", "!document.querySelector('[data-part] .dim')"},
				{"member", boss, base + "/admin/member/alice", ""},
				{"audit", boss, base + "/audit?verify=1", ""},
				{"missing", alice, base + "/w/nothing", ""},
				{"wait", alice, origin + "/lab", ""},
			} {
				c.call("Network.clearBrowserCookies", nil, nil)
				if page.session != "" {
					c.cookie(base, "masu_session", page.session)
				}
				c.cookie(origin, "masu_app", app)
				c.goTo(page.address)
				if page.ready != "" {
					c.until(page.ready)
				}
				name := fmt.Sprintf("%s-%s-%d-%s", page.name, lang, look.width, look.scheme)
				if got := c.eval("document.documentElement.lang"); got != lang {
					t.Errorf("%s is in %v", name, got)
				}
				c.shoot(name)
				c.axe(axe, name)
				c.well(name)
			}
		}
	}
}

// TestLiveInABrowser plays what a member sees happen without touching anything.
func TestLiveInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	c := newChromium(t)
	base := "http://localhost:" + g.port
	g.lab.set(masu.Workspace{Owner: "alice", Name: "thesis", Phase: masu.Stopped})
	c.goTo(base + "/signin")
	// The form, by hand.
	c.eval(`document.getElementById('name').value = 'alice'; document.getElementById('password').value = 'right alice'; document.querySelector('form[action="/signin"] button').click()`)
	c.until(`location.pathname === '/' && document.querySelector('#ws-thesis-alice[data-phase=stopped]')`)
	g.lab.set(masu.Workspace{Owner: "alice", Name: "other", Phase: masu.Building})
	c.until(`document.querySelector('#ws-other-alice[data-phase=building]')`)
	g.lab.set(masu.Workspace{Owner: "alice", Name: "other", Phase: ""})
	c.until(`!document.querySelector('#ws-other-alice')`)
	c.well("home")
	// An address of the app while its box is stopped: Start, and on to it by itself.
	c.goTo("http://thesis--alice.localhost:" + g.port + "/lab/tree/x.ipynb")
	c.until(`location.pathname === '/w/thesis' && document.querySelector('#workspace[data-next]')`)
	c.eval(`document.querySelector('form[action="/w/thesis/start"] input + button').click()`)
	eventually(t, "the lab is asked", func() bool { return strings.Contains(g.lab.doings(), "alice up thesis") })
	c.until(`document.getElementById('state')`)
	g.lab.set(masu.Workspace{Owner: "alice", Name: "thesis", Phase: masu.Building})
	g.lab.tell(masu.Progress{Step: "1", Name: "FROM <b>x</b>", State: masu.StepRunning, At: time.Now()}, masu.Progress{Step: "1", Line: "<img src=x onerror=alert(1)>"})
	c.until(`document.querySelector('#state[data-phase=building]') && document.querySelector('#steps .name')?.textContent === 'FROM <b>x</b>' && document.querySelector('#steps .term').textContent.includes('<img src=x')`)
	c.well("building")
	g.lab.set(running("alice", "thesis"))
	c.until(`location.host === 'thesis--alice.localhost:` + g.port + `' && document.body.textContent.startsWith('app thesis--alice.localhost:` + g.port + ` /lab/tree/x.ipynb')`)
	// The switches.
	c.goTo(base + "/w/thesis")
	c.eval(`document.querySelector('[data-toggle=theme]').click()`)
	theme := c.eval(`document.documentElement.dataset.theme`)
	c.goTo(base + "/")
	if got := c.eval(`document.documentElement.dataset.theme`); got != theme || got == nil {
		t.Errorf("the theme was %v and is %v", theme, got)
	}
	was := c.eval(`document.documentElement.lang`)
	c.eval(`document.querySelector('form[action="/lang"] button').click()`)
	c.until(`document.readyState === 'complete' && document.documentElement.lang !== '` + fmt.Sprint(was) + `'`)
	// A session that ends takes the page with it.
	c.well("the switches")
	for _, s := range []string{"secret-1", "secret-2", "secret-3"} {
		_ = g.gate.SignOut(t.Context(), s)
	}
	c.until(`location.pathname === '/signin'`)
}
