package web

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/proxy"
)

// reserved is the part of an app's origin that is masu's.
const reserved = "/_masu/"

// open sends a signed-in browser into a workspace's own origin, by a one-time
// code. Where nothing runs, it goes to the workspace's page, and from there on.
func (s *Server) open(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, app, err := s.wanted(r, v)
	if err != nil {
		return err
	}
	next := r.FormValue("next")
	if ws.Phase != masu.Running {
		http.Redirect(w, r, pageThen(key(ws, v.actor.Name), "go", app, next), http.StatusSeeOther)
		return nil
	}
	_, enter, err := s.entrance(r, v, ws, app, next)
	if err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, enter, http.StatusSeeOther)
	return nil
}

// wanted reads which app of which workspace an address names.
func (s *Server) wanted(r *http.Request, v *visit) (ws masu.Workspace, app string, err error) {
	if ws, err = s.named(r.Context(), v, r.PathValue("name")); err != nil {
		return ws, "", err
	}
	app = cmp.Or(r.PathValue("app"), jupyter)
	if named, is := atPort(ws, app); is {
		app = named
	}
	if _, has := ws.App(app); !masu.ValidAppName(app) || ws.Phase == masu.Running && !has {
		if port, isPort := strings.CutPrefix(app, "p"); isPort && port != "" && strings.Trim(port, "0123456789") == "" {
			return ws, "", masu.E(masu.NotFound, "no_port", port)
		}
		return ws, "", masu.E(masu.NotFound, "no_app", app)
	}
	return ws, app, nil
}

// atPort finds the app that has a port, for who knows nothing but that: "p6006" is TensorBoard.
func atPort(ws masu.Workspace, app string) (name string, is bool) {
	digits, isPort := strings.CutPrefix(app, "p")
	i := slices.IndexFunc(ws.Apps, func(a masu.App) bool { return isPort && strconv.Itoa(a.Port) == digits })
	if i < 0 {
		return "", false
	}
	return ws.Apps[i].Name, true
}

// toPort leads from an app's origin to what listens at a port of the same box.
// Whether that may be opened, and where it is, the pages know.
func (s *Server) toPort(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	at, _, _ := s.cfg.Origins.placeOf(r)
	port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
	if err != nil {
		s.refuse(w, r, masu.E(masu.NotFound, "no_app", r.PathValue("port")))
		return
	}
	_, next, _ := strings.Cut(strings.TrimPrefix(r.URL.RequestURI(), masu.PortPath), "/")
	to := s.cfg.Origins.pagesFor(r) + alonePath(url.PathEscape(at.label), "p"+strconv.FormatUint(port, 10), "/"+next)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// entrance gives an app's origin, and the address by which a signed-in browser gets in there.
func (s *Server) entrance(r *http.Request, v *visit, ws masu.Workspace, app, next string) (origin, address string, err error) {
	if origin, err = s.cfg.Origins.near(r.Host, ws, app); err != nil {
		return "", "", err
	}
	if next == "" && app == jupyter {
		next = "/lab"
	}
	code, err := s.cfg.Gate.EnterLink(r.Context(), v.session, ws.ID, safeNext(next))
	if err != nil {
		return "", "", err
	}
	return origin, origin + reserved + "enter?code=" + url.QueryEscape(code), nil
}

// named finds a workspace of the member by its name, or by the label that its
// own origin has: that of another member must not lead to one's own. Admins
// find everybody's by its label.
func (s *Server) named(ctx context.Context, v *visit, name string) (masu.Workspace, error) {
	if !strings.Contains(name, "--") {
		return v.service.Workspace(ctx, name)
	}
	list, err := v.service.Workspaces(ctx, v.actor.Admin)
	for _, ws := range list {
		if ws.Label == name {
			return ws, nil
		}
	}
	if err == nil {
		err = masu.E(masu.NotFound, "no_workspace", name)
	}
	return masu.Workspace{}, err
}

// pageThen is the page of a workspace that does not run, for a browser that wants to open an app of it: how is "go", or "bar".
func pageThen(key, how, app, next string) string {
	q := url.Values{how: {app}}
	if next != "" {
		q.Set("next", safeNext(next))
	}
	return "/w/" + key + "?" + q.Encode()
}

// appCookieName names the cookie of an app's origin. Where apps share a host
// name and differ by port, browsers send all of them to each: so each has its own.
func (s *Server) appCookieName(r *http.Request) string {
	if _, byPort := r.Context().Value(placeKey{}).(place); byPort {
		if _, port, err := net.SplitHostPort(r.Host); err == nil {
			return appCookie + "_" + port
		}
	}
	return appCookie
}

// cookieOf makes the cookie of an app's origin. To the browser the pages around
// a frame are another site, except where both are ports of one host: it keeps
// there only what says that it is for frames, for that site alone.
func (s *Server) cookieOf(r *http.Request, secret string, framed bool) *http.Cookie {
	c := s.cookie(s.appCookieName(r), secret, week)
	if _, byPort := r.Context().Value(placeKey{}).(place); framed && !byPort {
		c.Name, c.SameSite, c.Secure, c.Partitioned = s.cookieName(framedCookie), http.SameSiteNoneMode, true, true
	}
	return c
}

// enterApp follows the one-time code that entrance made.
func (s *Server) enterApp(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w.Header().Set("Referrer-Policy", "no-referrer")
	if ahead(r) {
		briefly(w, masu.E(masu.Denied, "link_ahead"))
		return
	}
	_, link, err := s.cfg.Gate.ByLink(r.Context(), r.URL.Query().Get("code"))
	if err != nil || link.For == "" {
		s.toPages(w, r, "", masu.E(masu.Denied, "signin_needed"))
		return
	}
	secret, err := s.cfg.Gate.SignIn(r.Context(), masu.Session{User: link.User, For: link.For, Parent: link.Parent})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	framed := r.URL.Query().Has("frame")
	http.SetCookie(w, s.cookieOf(r, secret, framed))
	to := safeNext(link.Next)
	if framed {
		to = withNext(reserved+"framed", to)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// toPages sends a browser that may not enter to where it can sign in, and then
// come back. The pages cannot be in a frame; there it is told why, and a button does it.
func (s *Server) toPages(w http.ResponseWriter, r *http.Request, next string, why error) {
	at, _, _ := s.cfg.Origins.placeOf(r)
	if next = safeNext(next); next == "/" {
		next = ""
	}
	if inFrame(r) {
		secure(w.Header())
		s.sayFramed(w, r, why, s.cfg.Origins.pagesFor(r)+barPath(url.PathEscape(at.label), at.app, next))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.cfg.Origins.pagesFor(r)+alonePath(url.PathEscape(at.label), at.app, next), http.StatusSeeOther)
}

// authorize says, for every request to an app, who may go where. It is the
// only function that does, for HTTP and WebSocket alike.
func (s *Server) authorize(r *http.Request) (proxy.Target, error) {
	at, origin, ok := s.cfg.Origins.placeOf(r)
	if !ok {
		return proxy.Target{}, masu.E(masu.NotFound, "host_unknown")
	}
	t, err := s.byCookie(r, at, s.appCookieName(r))
	if masu.CodeOf(err) == "signin_needed" {
		if t, err = s.byCookie(r, at, framedCookie); err == nil {
			t.Framed = true
		}
	}
	t.Origin, t.Framers = origin, s.cfg.Origins.framers(r)
	return t, err
}

// byCookie is what a cookie of a request opens.
func (s *Server) byCookie(r *http.Request, at place, name string) (proxy.Target, error) {
	c, err := r.Cookie(s.cookieName(name))
	if err != nil {
		return proxy.Target{}, masu.E(masu.Denied, "signin_needed")
	}
	key := s.seen.key(c.Value, at)
	t, ok := s.seen.get(key)
	if !ok {
		var ended []<-chan struct{}
		if t, ended, err = s.target(r.Context(), c.Value, at); err != nil {
			return t, err
		}
		s.seen.put(key, t, ended)
	}
	return t, nil
}

// target finds what a cookie opens: one workspace, of the member that it belongs to.
func (s *Server) target(ctx context.Context, secret string, at place) (t proxy.Target, ended []<-chan struct{}, err error) {
	u, session, err := s.cfg.Gate.BySession(ctx, secret)
	if err != nil || session.For == "" {
		return t, nil, masu.E(masu.Denied, "signin_needed")
	}
	root := session.Parent // what a sign-out ends
	if root == "" {
		root = session.Hash
	}
	life, own := s.live.of(root, u.Name), s.live.of(session.Hash, u.Name)
	service := s.cfg.As(masu.Actor{User: u, Door: masu.DoorWeb})
	ws, err := service.Workspace(ctx, string(session.For))
	if err != nil || ws.Label != at.label {
		return t, nil, masu.E(masu.NotFound, "no_workspace", at.label) // another workspace's cookie opens nothing here
	}
	if ws.Phase != masu.Running {
		return t, nil, masu.E(masu.Conflict, "not_running", ws.Name)
	}
	app, ok := ws.App(at.app)
	if !ok {
		return t, nil, masu.E(masu.NotFound, "no_app", at.app)
	}
	t = proxy.Target{
		Dial: func(ctx context.Context) (net.Conn, error) { return service.Dial(ctx, string(ws.ID), app.Port) },
		Key:  string(ws.ID) + "." + strconv.Itoa(app.Port) + "." + strconv.FormatInt(ws.ChangedAt.UnixNano(), 36),
		User: u.Name,
		OnEnd: func(f func()) func() bool { // with the sign-out, when a guest is dismissed, and when the member may do less
			a, b, release := life.onEnd(f), own.onEnd(f), s.live.hold(u, secret, f)
			return func() bool {
				release()
				x, y := a(), b()
				return x && y
			}
		},
	}
	if app.Name == jupyter {
		t.Around = s.attached.around(ws.ID, func(ctx context.Context) (net.Conn, error) { return service.Dial(ctx, string(ws.ID), masu.AgentPort) })
	}
	return t, []<-chan struct{}{life.done, own.done}, nil
}

// waitView is shown at an app's origin while the app does not answer.
type waitView struct {
	base
	Name, App string
	Path      string // the workspace's page
}

// refuseApp answers what the proxy lets not through. A browser that opened a
// page is sent to where it can go on; a script is told in a few words.
func (s *Server) refuseApp(w http.ResponseWriter, r *http.Request, err error) {
	navigates := r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
	if !navigates {
		s.log(r, err)
		briefly(w, err)
		return
	}
	switch code := masu.CodeOf(err); {
	case code == "signin_needed", code == "no_workspace", code == "not_running":
		s.toPages(w, r, r.URL.RequestURI(), err)
	case masu.KindOf(err) == masu.Unreachable, masu.KindOf(err) == masu.Conflict, code == "no_box":
		secure(w.Header())
		w.Header().Set("Refresh", "3")
		at, _, _ := s.cfg.Origins.placeOf(r)
		name, _, _ := strings.Cut(at.label, "--")
		view := &waitView{Name: name, App: appTitle(at.app), Path: s.cfg.Origins.pagesFor(r) + "/w/" + url.PathEscape(at.label)}
		if err := s.show(w, r, nil, status(err), view); err != nil {
			s.refuse(w, r, err)
		}
	default:
		s.refuse(w, r, err)
	}
}

// appTitle is what people call an app.
func appTitle(name string) string {
	switch name {
	case jupyter:
		return "Jupyter"
	case "tensorboard":
		return "TensorBoard"
	case "code":
		return "VS Code"
	}
	return name
}
