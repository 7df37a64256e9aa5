package web

import (
	"net/http"

	"github.com/masu-lab/masu"
)

// handler is a page or an act of one; v is nil where nobody has signed in.
type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

// routes is where the pages are.
type routes struct {
	*Server
	mux *http.ServeMux
}

func (p routes) route(pattern string, h handler) { p.mux.HandleFunc(pattern, p.withVisit(h)) }

// act is a route that changes something: never by GET.
func (p routes) act(path string, h handler) {
	p.route("POST "+path, h)
	p.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		p.refuse(w, r, masu.E(masu.Invalid, "not_by_get"))
	})
}

func (s *Server) pageRoutes() http.Handler {
	p := routes{s, http.NewServeMux()}
	p.mux.Handle("GET /static/", s.looks)
	p.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.looks.path("masu.svg"), http.StatusFound)
	})
	p.entrance()
	p.people()
	p.workspaces()
	p.lending()
	p.route("/", func(http.ResponseWriter, *http.Request, *visit) error { return masu.E(masu.NotFound, "no_page") })
	return p.mux
}

// entrance: signing in, and the first page.
func (p routes) entrance() {
	p.route("GET /signin", p.signinPage)
	p.act("/signin", p.signin)
	p.act("/signin/sso", p.beginSSO)
	p.route("GET /enter", p.enter)
	p.act("/lang", p.setLang)
	p.act("/signout", members(p.signout))
	p.route("GET /{$}", members(p.home))
	p.route("GET /board", members(p.board))
	p.route("GET /shared", members(p.sharedApps))
	p.route("GET /house", members(p.house))
	p.route("GET "+CallbackPath, p.endSSO)
}

// people: settings, and the lab as an admin sees it.
func (p routes) people() {
	p.route("GET /settings", members(p.settings))
	p.act("/settings/password", members(p.setPassword))
	p.act("/settings/session", members(p.endSessionOf))
	p.act("/settings/notices", members(p.setNotices))
	p.act("/settings/notices/try", members(p.tryNotices))
	p.act("/settings/token", members(p.newToken))
	p.act("/settings/token/delete", members(p.deleteToken))
	p.act("/settings/key", members(p.addKey))
	p.act("/settings/key/delete", members(p.removeKey))
	p.route("GET /admin", admins(p.adminPage))
	p.route("GET /admin/member/{name}", admins(p.memberPage))
	p.act("/admin/member/{name}/limits", admins(p.setLimits))
	p.act("/admin/member/{name}/handover", admins(p.handOver))
	p.route("GET /admin/doctor", admins(p.doctor))
	p.act("/admin/rules", admins(p.setRules))
	p.act("/admin/member", admins(p.changeMember))
	p.act("/admin/invite", admins(p.invite))
	p.act("/admin/house", admins(p.setHouse))
	p.act("/admin/stop", admins(p.adminStop))
	p.act("/admin/prune", admins(p.prune))
	p.route("GET /audit", members(p.audit))
	p.route("GET /audit.csv", members(p.auditCSV))
}

// lending: GPUs, runs, and who used how much.
func (p routes) lending() {
	p.route("GET /gpus", members(p.gpus))
	p.route("GET /gpus/board", members(p.gpuBoard))
	p.route("GET /runs", members(p.runs))
	p.route("GET /runs/list", members(p.runList))
	p.route("GET /runs/{id}", members(p.run))
	p.route("GET /runs/{id}/now", members(p.runNow))
	p.route("GET /runs/{id}/use", members(p.runUse))
	p.route("GET /runs/{id}/picture/{cell}/{output}", members(p.runPicture))
	p.route("GET /runs/{id}/log", members(p.runLog))
	p.act("/runs/{id}/cancel", members(p.cancelRun))
	p.act("/runs/{id}/extend", members(p.extendRun))
	p.act("/runs/{id}/release", members(p.releaseRun))
	p.act("/runs/{id}/again", members(p.runAgain))
	p.act("/runs/{id}/forget", members(p.forgetRun))
	p.route("GET /usage", members(p.usage))
	p.route("GET /usage.csv", members(p.usageCSV))
	p.route("GET /gpus.ics", members(p.calendar))
	p.mux.HandleFunc("GET /calendar/{file}", p.feed)
	p.act("/gpus/feed", members(p.makeFeed))
	p.act("/gpus/feed/end", members(p.endFeed))
	p.route("GET /wall", p.wall)
	p.route("GET /wall/board", p.wallBoard)
	p.act("/gpus/reserve", members(p.reserve))
	p.act("/gpus/unreserve", members(p.unreserve))
	p.act("/gpus/ask", members(p.askFor))
}

// workspaces: what members have: workspaces, and what runs in them.
func (p routes) workspaces() {
	p.act("/start", members(p.start))
	p.route("GET /new", members(p.newPage))
	p.act("/new/preview", members(p.preview))
	p.act("/new/folder", members(p.makeFolder))
	p.route("POST /new", members(p.create))
	p.route("GET /environments", members(p.environments))
	p.route("GET /compare", members(p.compare))
	p.route("GET /e/{id}", members(p.environment))
	p.act("/e/{id}/change", members(p.changeEnvironment))
	p.act("/e/{id}/delete", members(p.unshare))
	p.route("GET /events", members(p.events))
	p.route("GET /w/{name}", members(p.workspace))
	p.route("GET /w/{name}/events", members(p.workspaceEvents))
	p.route("GET /w/{name}/log", members(p.textLog))
	p.route("GET /w/{name}/bom.cdx.json", members(p.bill))
	p.route("GET /w/{name}/use", members(p.use))
	p.route("GET /w/{name}/load", members(p.load))
	p.route("GET /w/{name}/added", members(p.added))
	p.act("/w/{name}/keep", members(p.keep))
	p.route("GET /w/{name}/apps", members(p.programs))
	p.route("GET /w/{name}/apps/{app}/log", members(p.appLog))
	p.act("/w/{name}/apps/put", members(p.putApp))
	p.act("/w/{name}/apps/drop", members(p.dropApp))
	p.act("/w/{name}/apps/start", members(p.startApp))
	p.act("/w/{name}/apps/stop", members(p.stopApp))
	p.act("/w/{name}/apps/share", members(p.shareApp))
	p.act("/w/{name}/apps/unshare", members(p.unshareApp))
	p.act("/w/{name}/extend", members(p.extend))
	p.act("/w/{name}/release", members(p.release))
	p.act("/w/{name}/run", members(p.runHere))
	p.act("/w/{name}/guest", members(p.admit))
	p.act("/w/{name}/dismiss", members(p.dismiss))
	p.act("/w/{name}/share", members(p.share))
	p.act("/w/{name}/start", members(p.startAgain))
	p.act("/w/{name}/restart", members(p.restart))
	p.act("/w/{name}/meanwhile", members(p.meanwhile))
	p.act("/w/{name}/stop", members(p.stop))
	p.act("/w/{name}/remove", members(p.remove))
	p.route("GET /w/{name}/app/{app}", members(p.bar))
	p.route("GET /w/{name}/bar", members(p.barNow))
	p.route("GET /open/{name}", members(p.open))
	p.route("GET /open/{name}/{app}", members(p.open))
}
