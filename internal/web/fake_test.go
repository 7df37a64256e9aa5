package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// fakeGate knows two members by password, and keeps sessions and links in memory.
type fakeGate struct {
	from     netip.Addr // who tried a password last
	mu       sync.Mutex
	sessions map[string]masu.Session // by secret
	links    map[string]masu.Link    // by secret
	n        int
	asked    int // times that BySession was
	refuse   error
	ended    chan masu.Ending
	shorn    bool // boss is no admin any more
	langs    map[masu.Username]masu.Lang
	home     string // everybody's; "" for the usual
	feeds    map[string]masu.Username
}

func newFakeGate() *fakeGate {
	return &fakeGate{sessions: map[string]masu.Session{}, links: map[string]masu.Link{}, ended: make(chan masu.Ending, 100), langs: map[masu.Username]masu.Lang{}}
}

func (g *fakeGate) user(name masu.Username) masu.User {
	return masu.User{Name: name, UID: 30001, Admin: name == "boss" && !g.shorn, Home: cmp.Or(g.home, "/home/"+string(name)), Lang: g.langs[name]}
}

func (g *fakeGate) next(kind string) string {
	g.n++
	return fmt.Sprintf("%s-%d", kind, g.n)
}

func (g *fakeGate) ByUID(context.Context, int) (masu.User, error) {
	return masu.User{}, masu.E(masu.Denied, "not_a_member")
}

func (g *fakeGate) ByPassword(_ context.Context, name masu.Username, password string, from netip.Addr) (masu.User, error) {
	g.mu.Lock()
	g.from = from
	g.mu.Unlock()
	if g.refuse != nil {
		return masu.User{}, g.refuse
	}
	if (name == "alice" || name == "bob" || name == "carol" || name == "boss") && password == "right "+string(name) {
		return g.user(name), nil
	}
	return masu.User{}, masu.E(masu.Denied, "signin_wrong")
}

func (g *fakeGate) ByLink(_ context.Context, secret string) (masu.User, masu.Link, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.links[secret]
	delete(g.links, secret)
	if !ok {
		return masu.User{}, masu.Link{}, masu.E(masu.Denied, "signin_wrong")
	}
	return g.user(l.User), l, nil
}

func (g *fakeGate) ByName(_ context.Context, name masu.Username) (masu.User, error) {
	if name != "alice" {
		return masu.User{}, masu.E(masu.Denied, "signin_wrong")
	}
	return g.user(name), nil
}

func (g *fakeGate) ByToken(context.Context, string) (masu.User, masu.Token, error) {
	return masu.User{}, masu.Token{}, masu.E(masu.Denied, "signin_wrong")
}

func (g *fakeGate) ByFeed(_ context.Context, secret string, _ netip.Addr) (masu.User, error) {
	g.mu.Lock()
	name, ok := g.feeds[secret]
	g.mu.Unlock()
	if !ok {
		return masu.User{}, masu.E(masu.Denied, "signin_wrong")
	}
	return g.user(name), nil
}

func (g *fakeGate) ByKey(context.Context, masu.KeyOffer) (masu.User, masu.KeyLimits, error) {
	return masu.User{}, masu.KeyLimits{}, masu.E(masu.Denied, "signin_wrong")
}

func (g *fakeGate) link(l masu.Link) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	secret := g.next("link")
	g.links[secret] = l
	return secret
}

func (g *fakeGate) SignIn(_ context.Context, s masu.Session) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	secret := g.next("secret")
	s.Hash = "hash of " + secret
	g.sessions[secret] = s
	return secret, nil
}

func (g *fakeGate) BySession(_ context.Context, secret string) (masu.User, masu.Session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	s, ok := g.sessions[secret]
	if !ok {
		return masu.User{}, masu.Session{}, masu.E(masu.Denied, "signin_wrong")
	}
	return g.user(s.User), s, nil
}

func (g *fakeGate) SignOut(_ context.Context, secret string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	hash := g.sessions[secret].Hash
	for k, s := range g.sessions {
		if hash != "" && (s.Hash == hash || s.Parent == hash) {
			delete(g.sessions, k)
			g.ended <- masu.Ending{Session: s.Hash}
		}
	}
	return nil
}

func (g *fakeGate) Ended(ctx context.Context) iter.Seq[masu.Ending] {
	return func(yield func(masu.Ending) bool) {
		for {
			select {
			case e := <-g.ended:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (g *fakeGate) EnterLink(_ context.Context, s masu.Session, id masu.WorkspaceID, next string) (string, error) {
	return g.link(masu.Link{User: s.User, For: id, Parent: s.Hash, Next: next}), nil
}

// fakeLab has workspaces that tests put there; its boxes all dial one app.
type fakeLab struct {
	masu.Service // what a test does not need is not there

	mu       sync.Mutex
	people   *masutest.FakeService
	hello    masu.Hello
	images   []masu.ImageUse
	measured masu.Board
	forecast masu.Forecast
	goesOn   masu.WorkspaceID // a run that is not over
	usage    []masu.UsageRow
	samples  []masu.Sample
	byHand   masu.Layer
	shared   map[string]masu.Shared
	contents map[masu.WorkspaceID]masu.Contents // of those that were built
	list     []masu.Workspace
	told     []masu.Progress
	news     chan struct{}
	did      []string       // what was asked for
	asked    masu.UpRequest // the last one
	reserved masu.ReserveWish
	app      string // address of what every port of every box answers with
	fail     error  // of Up
	dial     error
}

// theirRuns is masu.Runs under another name than its method's.
type theirRuns interface{ masu.Runs }

// fakeActor is the lab for one member.
type fakeActor struct {
	*fakeLab
	masu.Projects // real folders
	masu.Sharing
	masu.AppSharing
	masu.Identity
	masu.SSHKeys
	masu.Administration
	theirRuns
	name  masu.Username
	admin bool
}

func (l *fakeLab) As(a masu.Actor) masu.Service {
	s := l.people.As(a)
	return &fakeActor{l, s, s, s, s, s, s, s, a.Name, a.Admin}
}

// set puts a workspace there, or changes it.
func (l *fakeLab) set(w masu.Workspace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.ID = masu.WorkspaceID(cmp.Or(string(w.ID), w.Name+"-"+string(w.Owner)))
	w.Label = cmp.Or(w.Label, w.Name+"--"+string(w.Owner))
	w.ChangedAt = time.Now()
	l.list = append(slices.DeleteFunc(slices.Clone(l.list), func(o masu.Workspace) bool { return o.ID == w.ID }), w)
	l.changed()
}

func (l *fakeLab) tell(p ...masu.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, p...)
	l.changed()
}

func (l *fakeLab) changed() {
	close(l.news)
	l.news = make(chan struct{})
}

func (a *fakeActor) Whoami(ctx context.Context) (masu.Hello, error) {
	h := a.hello
	h.Actor.Name, h.Actor.Home = a.name, "/home/"+string(a.name)
	known, err := a.people.As(masu.Actor{User: masu.User{Name: a.name}}).Whoami(ctx)
	h.House = known.House
	return h, err
}

func (a *fakeActor) Images(context.Context) ([]masu.ImageUse, error) { return a.images, nil }

func (a *fakeActor) PruneImages(_ context.Context, dry bool) (list []masu.ImageUse, err error) {
	if dry {
		return slices.DeleteFunc(slices.Clone(a.images), func(i masu.ImageUse) bool { return len(i.Owners) > 0 || i.InUse }), nil
	}
	a.note("prune", "")
	return nil, nil
}

func (a *fakeActor) Workspaces(_ context.Context, all bool) ([]masu.Workspace, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []masu.Workspace
	for _, w := range a.list {
		if seen, ok := w.ShownTo(a.name); all && a.admin {
			list = append(list, w)
		} else if ok {
			list = append(list, seen)
		}
	}
	return list, nil
}

func (a *fakeActor) Workspace(ctx context.Context, name string) (masu.Workspace, error) {
	list, _ := a.Workspaces(ctx, a.admin)
	for _, w := range list {
		if w.Name == name && w.Owner == a.name || string(w.ID) == name {
			return w, nil
		}
	}
	return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
}

func (a *fakeActor) note(verb, what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did = append(a.did, string(a.name)+" "+verb+" "+what)
}

func (l *fakeLab) doings() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.did, "; ")
}

func (a *fakeActor) Up(ctx context.Context, r masu.UpRequest) (masu.Workspace, error) {
	a.note("up", strings.TrimSpace(fmt.Sprint(r.Dir, r.Name, " ", r.Preset, map[bool]string{true: "restart"}[r.Restart], map[bool]string{true: "or-cpu"}[r.OrCPU != nil && *r.OrCPU])))
	a.mu.Lock()
	a.asked = r
	a.mu.Unlock()
	if a.fail != nil {
		return masu.Workspace{}, a.fail
	}
	if r.Name != "" {
		return a.Workspace(ctx, r.Name)
	}
	w := masu.Workspace{Owner: a.name, Name: "new", Phase: masu.Building, Project: masu.Project{Dir: r.Dir}}
	a.set(w)
	return a.Workspace(ctx, "new")
}

// Forecast gives what the test has put there.
func (a *fakeActor) Forecast(_ context.Context, w masu.Want) (masu.Forecast, error) {
	if w.Count > len(a.hello.Host.GPUs) {
		return masu.Forecast{}, masu.E(masu.Invalid, "gpus_impossible", len(a.hello.Host.GPUs))
	}
	return a.forecast, nil
}

func (a *fakeActor) Release(ctx context.Context, name string) (masu.Workspace, error) {
	a.note("release", name)
	return a.Workspace(ctx, name)
}

func (a *fakeActor) Stop(ctx context.Context, name string) (masu.Workspace, error) {
	a.note("stop", name)
	return a.Workspace(ctx, name)
}

func (a *fakeActor) Remove(ctx context.Context, name string) error {
	a.note("remove", name)
	_, err := a.Workspace(ctx, name)
	return err
}

func (a *fakeActor) SetLang(_ context.Context, lang masu.Lang) error {
	a.note("lang", string(lang))
	return nil
}

func (a *fakeActor) Changes(ctx context.Context) iter.Seq2[masu.Workspace, error] {
	return func(yield func(masu.Workspace, error) bool) {
		for {
			a.mu.Lock()
			news := a.news
			a.mu.Unlock()
			list, _ := a.Workspaces(ctx, false)
			for _, w := range list {
				if !yield(w, nil) {
					return
				}
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (a *fakeActor) Watch(ctx context.Context, name string) iter.Seq2[masu.Progress, error] {
	return func(yield func(masu.Progress, error) bool) {
		for n := 0; ; {
			a.mu.Lock()
			news, more := a.news, slices.Clone(a.told[n:])
			a.mu.Unlock()
			for _, p := range more {
				if !yield(p, nil) {
					return
				}
			}
			n += len(more)
			if w, err := a.Workspace(ctx, name); err != nil || w.Phase.Settled() {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (a *fakeActor) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	a.note("dial", fmt.Sprint(name, " ", port))
	if a.dial != nil {
		return nil, a.dial
	}
	return new(net.Dialer).DialContext(ctx, "tcp", a.app)
}

// rig is the pages on a real socket, reached by whatever name.
type rig struct {
	t      testing.TB
	gate   *fakeGate
	lab    *fakeLab
	server *Server
	addr   string
	port   string
	log    *strings.Builder
}

func newRig(t testing.TB) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	free, err := net.Listen("tcp", "127.0.0.1:0") // a range of one port, by asking for a free one
	if err != nil {
		t.Fatal(err)
	}
	app := free.Addr().(*net.TCPAddr).Port
	free.Close()
	return rigAt(t, l, OriginsConfig{Pages: "http://localhost:" + port, Suffix: "localhost:" + port, Hosts: []string{"127.0.0.1:" + port, "192.0.2.7:" + port},
		Listen: func(port int) (net.Listener, error) { return net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)) }, Ports: [2]int{app, app}})
}

func rigAt(t testing.TB, l net.Listener, c OriginsConfig) *rig {
	t.Helper()
	origins, err := NewOrigins(c)
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "app %s %s %q", r.Host, r.RequestURI, r.Header["Cookie"])
	}))
	t.Cleanup(app.Close)
	g := &rig{t: t, gate: newFakeGate(), lab: &fakeLab{people: masutest.NewService(), shared: map[string]masu.Shared{}, news: make(chan struct{}), app: app.Listener.Addr().String()}, log: &strings.Builder{}}
	g.addr = l.Addr().String()
	_, g.port, _ = net.SplitHostPort(g.addr)
	g.server, err = New(Config{Gate: g.gate, As: g.lab.As, Template: func(d masu.Draft) string { return "preset: " + d.Preset + "\n" }, Origins: origins, Log: slog.New(slog.NewTextHandler(&locked{w: g.log}, nil)), Version: "1.0", HostName: "gpu1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	srv := &http.Server{Handler: g.server.Handler()}
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() { _ = srv.Close(); cancel(); wg.Wait() })
	return g
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// running is a workspace that runs Jupyter.
func running(owner masu.Username, name string) masu.Workspace {
	return masu.Workspace{Owner: owner, Name: name, Phase: masu.Running, Project: masu.Project{Dir: "/home/" + string(owner) + "/" + name},
		Apps: []masu.App{{Name: "jupyter", Port: 8888, Ready: true}}}
}

// browser keeps cookies as a browser does, finds every name here, and follows no redirect by itself.
type browser struct {
	*rig
	client *http.Client
	base   string // scheme and host of the pages as it knows them
}

func (g *rig) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{rig: g, base: "http://localhost:" + g.port, client: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		}}}}
}

type answer struct {
	*http.Response
	text string
}

func (b *browser) do(method, address, body string, headers ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.base + address
	}
	q, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == "POST" {
		q.Header.Set("Origin", q.URL.Scheme+"://"+q.URL.Host)
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	q.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			q.Header.Del(headers[i])
		} else {
			q.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := b.client.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

func (b *browser) get(address string, headers ...string) answer {
	b.t.Helper()
	return b.do("GET", address, "", headers...)
}

func (b *browser) post(address string, form url.Values, headers ...string) answer {
	b.t.Helper()
	return b.do("POST", address, form.Encode(), headers...)
}

// signIn signs a member in.
func (b *browser) signIn(name string) {
	b.t.Helper()
	if a := b.post("/signin", url.Values{"name": {name}, "password": {"right " + name}}); a.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("signing in: %s %s", a.Status, a.text)
	}
}

// follow goes where it is sent, at most so often.
func (b *browser) follow(address string) (string, answer) {
	b.t.Helper()
	for range 6 {
		a := b.get(address)
		to, err := a.Location()
		if err != nil {
			return address, a
		}
		address = to.String()
	}
	b.t.Fatalf("sent in circles, lastly to %s", address)
	return "", answer{}
}

// signInDirect opens a session without the form.
func (g *rig) secret(name masu.Username) string {
	s, err := g.gate.SignIn(context.Background(), masu.Session{User: name})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}
