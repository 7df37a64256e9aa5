package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// maxBody is the longest request.
const maxBody = 1 << 20

// router adds routes to a server.
type router struct {
	*Server
	mux *http.ServeMux
	api *[]route // what programs with a token may ask for
}

// nothing is the answer of a call that only succeeds.
type nothing struct{}

func (s *Server) routes() http.Handler {
	r := router{s, http.NewServeMux(), &s.api}
	peopleRoutes(r)
	keysRoutes(r)
	administrationRoutes(r)
	projectsRoutes(r)
	sharingRoutes(r)
	programRoutes(r)
	lendingRoutes(r)
	workspacesRoutes(r)
	imagesRoutes(r)
	carryRoutes(r)
	r.handle("GET /v1/logs", s.logs)
	r.handle("GET /v1/logs/service", s.sideLogs)
	r.handle("GET /v1/apps/log", s.appLog)
	r.handle("GET /v1/runs/log", s.runLog)
	r.handle("GET /v1/runs/notebook", s.runNotebook)
	r.handle("POST /v1/exec", s.exec)
	r.handle("POST /v1/run", s.run)
	r.handle("POST /v1/dial", s.dial)
	r.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, masu.E(masu.NotFound, "no_route", r.Method+" "+r.URL.Path))
	})
	return s.checked(r.mux)
}

// peopleRoutes adds the routes about who asks: masu.Identity.
func peopleRoutes(r router) {
	get(r, "/v1/whoami", func(ctx context.Context, svc masu.Service, _ url.Values) (masu.Hello, error) {
		return svc.Whoami(ctx)
	})
	get(r, "/v1/sessions", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.Session, error) {
		return svc.Sessions(ctx)
	})
	post(r, "/v1/sessions/end", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.EndSession(ctx, q.Name)
	})
	get(r, "/v1/tokens", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.Token, error) {
		return svc.Tokens(ctx)
	})
	post(r, "/v1/tokens", func(ctx context.Context, svc masu.Service, q masu.TokenWish) (masu.NewToken, error) {
		return svc.NewToken(ctx, q)
	})
	post(r, "/v1/tokens/delete", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.DeleteToken(ctx, q.Name)
	})
	get(r, "/v1/notices", func(ctx context.Context, svc masu.Service, _ url.Values) (masu.NotifyWish, error) {
		return svc.Notices(ctx)
	})
	post(r, "/v1/notices", func(ctx context.Context, svc masu.Service, q masu.NotifyWish) (nothing, error) {
		return nothing{}, svc.SetNotices(ctx, q)
	})
	post(r, "/v1/notices/try", func(ctx context.Context, svc masu.Service, _ nothing) (nothing, error) {
		return nothing{}, svc.TryNotices(ctx)
	})
	ask(r, "/v1/events", func(ctx context.Context, svc masu.Service, q masu.EventQuery) ([]masu.Event, error) {
		return svc.Events(ctx, q)
	})
	post(r, "/v1/password", func(ctx context.Context, svc masu.Service, q passwordRequest) (nothing, error) {
		return nothing{}, svc.SetPassword(ctx, q.Password)
	})
	post(r, "/v1/lang", func(ctx context.Context, svc masu.Service, q langRequest) (nothing, error) {
		return nothing{}, svc.SetLang(ctx, q.Lang)
	})
	post(r, "/v1/link", func(ctx context.Context, svc masu.Service, q named) (masu.OpenLink, error) {
		return svc.Link(ctx, q.Name)
	})
}

// administrationRoutes adds the routes of masu.Administration.
func administrationRoutes(r router) {
	get(r, "/v1/events/verify", func(ctx context.Context, svc masu.Service, _ url.Values) (nothing, error) {
		return nothing{}, svc.VerifyEvents(ctx)
	})
	get(r, "/v1/members", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.MemberUse, error) {
		return svc.Members(ctx)
	})
	post(r, "/v1/members/change", func(ctx context.Context, svc masu.Service, q memberRequest) (nothing, error) {
		return nothing{}, svc.ChangeMember(ctx, masu.Username(q.Name), q.Change)
	})
	post(r, "/v1/members/handover", func(ctx context.Context, svc masu.Service, q masu.HandoverWish) (masu.Handover, error) {
		return svc.Handover(ctx, q)
	})
	post(r, "/v1/members/invite", func(ctx context.Context, svc masu.Service, q named) (masu.OpenLink, error) {
		return svc.Invite(ctx, masu.Username(q.Name))
	})
	post(r, "/v1/house", func(ctx context.Context, svc masu.Service, q masu.House) (nothing, error) {
		return nothing{}, svc.SetHouse(ctx, q)
	})
	get(r, "/v1/rules", func(ctx context.Context, svc masu.Service, _ url.Values) (masu.RulesNow, error) {
		return svc.Rules(ctx)
	})
	post(r, "/v1/rules", func(ctx context.Context, svc masu.Service, q masu.Rules) (nothing, error) {
		return nothing{}, svc.SetRules(ctx, q)
	})
	get(r, "/v1/findings", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.Finding, error) {
		return svc.Findings(ctx)
	})
	post(r, "/v1/adopt", func(ctx context.Context, svc masu.Service, q masu.AdoptWish) (masu.Workspace, error) {
		return svc.Adopt(ctx, q)
	})
	post(r, "/v1/unadopt", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.Unadopt(ctx, q.Name)
	})
}

// projectsRoutes adds the routes of masu.Projects.
func projectsRoutes(r router) {
	ask(r, "/v1/read", func(ctx context.Context, svc masu.Service, q readRequest) (masu.Plan, error) {
		return svc.Read(ctx, q.Dir)
	})
	get(r, "/v1/choices", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.Choice, error) {
		return svc.Choices(ctx)
	})
	get(r, "/v1/folder", func(ctx context.Context, svc masu.Service, q url.Values) (masu.Listing, error) {
		return svc.Browse(ctx, q.Get("dir"))
	}, "dir")
	post(r, "/v1/folder/make", func(ctx context.Context, svc masu.Service, q readRequest) (nothing, error) {
		return nothing{}, svc.MakeFolder(ctx, q.Dir)
	})
	ask(r, "/v1/project/preview", func(ctx context.Context, svc masu.Service, q projectRequest) (masu.Plan, error) {
		return svc.Preview(ctx, q.Dir, q.Text)
	})
	get(r, "/v1/project", func(ctx context.Context, svc masu.Service, q url.Values) (string, error) {
		return svc.ProjectFile(ctx, q.Get("dir"))
	}, "dir")
	post(r, "/v1/project", func(ctx context.Context, svc masu.Service, q projectRequest) (nothing, error) {
		return nothing{}, svc.WriteProjectFile(ctx, q.Dir, q.Old, q.Text)
	})
}

// workspacesRoutes adds the routes about what runs.
func workspacesRoutes(r router) {
	get(r, "/v1/board", func(ctx context.Context, svc masu.Service, _ url.Values) (masu.Board, error) {
		return svc.Board(ctx)
	})
	post(r, "/v1/up", func(ctx context.Context, svc masu.Service, q masu.UpRequest) (masu.Workspace, error) {
		return svc.Up(ctx, q)
	})
	post(r, "/v1/stop", func(ctx context.Context, svc masu.Service, q named) (masu.Workspace, error) {
		return svc.Stop(ctx, q.Name)
	})
	post(r, "/v1/remove", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.Remove(ctx, q.Name)
	})
	get(r, "/v1/workspace", func(ctx context.Context, svc masu.Service, q url.Values) (masu.Workspace, error) {
		return svc.Workspace(ctx, q.Get("name"))
	}, "name")
	get(r, "/v1/workspaces", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.Workspace, error) {
		return svc.Workspaces(ctx, q.Get("all") == "true")
	}, "all")
	follow(r, "/v1/watch", func(ctx context.Context, svc masu.Service, q url.Values) iter.Seq2[masu.Progress, error] {
		return svc.Watch(ctx, q.Get("name"))
	}, "name")
	follow(r, "/v1/changes", func(ctx context.Context, svc masu.Service, _ url.Values) iter.Seq2[masu.Workspace, error] {
		return svc.Changes(ctx)
	})
}

// imagesRoutes adds the routes about environments' images.
func imagesRoutes(r router) {
	work(r, "/v1/build", func(ctx context.Context, svc masu.Service, q masu.BuildWish, progress func(masu.Progress)) (masu.Image, error) {
		return svc.Build(ctx, q, progress)
	})
	get(r, "/v1/images", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.ImageUse, error) {
		return svc.Images(ctx)
	})
	post(r, "/v1/images/remove", func(ctx context.Context, svc masu.Service, q imageRequest) (nothing, error) {
		return nothing{}, svc.RemoveImage(ctx, q.Ref)
	})
	post(r, "/v1/images/prune", func(ctx context.Context, svc masu.Service, q pruneRequest) ([]masu.ImageUse, error) {
		return svc.PruneImages(ctx, q.Dry)
	})
}

// checked says who we are, and refuses those who speak another version. The mux
// would answer a path that is not clean with a redirect, in HTML.
func (s *Server) checked(next http.Handler) http.Handler {
	ours := fmt.Sprint(wire, " ", s.Version)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerVersion, ours)
		if theirs := r.Header.Get(headerVersion); theirs != "" {
			if n, _ := version(theirs); n != wire {
				s.refuse(w, r, masu.E(masu.Conflict, "version_mismatch", s.Version))
				return
			}
		}
		if path.Clean(r.URL.Path) != r.URL.Path {
			s.refuse(w, r, masu.E(masu.NotFound, "no_route", r.Method+" "+r.URL.Path))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handle adds a route; its handler is given the service of who asks.
func (r router) handle(pattern string, h func(masu.Service, http.ResponseWriter, *http.Request) error) {
	r.mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
		actor, q, done, err := r.whileAdmitted(q)
		defer done()
		if err != nil {
			r.refuseToken(w, q, err)
			return
		}
		if err := h(r.As(actor), w, q); err != nil {
			r.refuse(w, q, err)
		}
	})
}

func get[T any](r router, path string, f func(context.Context, masu.Service, url.Values) (T, error), params ...string) {
	r.describe(route{method: http.MethodGet, path: path, reads: true, params: params, out: typeOf[T]()})
	r.handle("GET "+path, func(svc masu.Service, w http.ResponseWriter, q *http.Request) error {
		answer, err := f(q.Context(), svc, q.URL.Query())
		if err == nil {
			writeJSON(w, http.StatusOK, answer)
		}
		return err
	})
}

// ask is a post that changes nothing.
func ask[Q, T any](r router, path string, f func(context.Context, masu.Service, Q) (T, error)) {
	carry(r, path, f, true)
}

func post[Q, T any](r router, path string, f func(context.Context, masu.Service, Q) (T, error)) {
	carry(r, path, f, false)
}

func carry[Q, T any](r router, path string, f func(context.Context, masu.Service, Q) (T, error), reads bool) {
	r.describe(route{method: http.MethodPost, path: path, reads: reads, in: typeOf[Q](), out: typeOf[T]()})
	r.handle("POST "+path, func(svc masu.Service, w http.ResponseWriter, q *http.Request) error {
		asked, err := readBody[Q](w, q)
		if err != nil {
			return err
		}
		answer, err := f(q.Context(), svc, asked)
		if err == nil {
			writeJSON(w, http.StatusOK, answer)
		}
		return err
	})
}

// follow answers with lines until the sequence ends.
func follow[T any](r router, path string, f func(context.Context, masu.Service, url.Values) iter.Seq2[T, error], params ...string) {
	r.describe(route{method: http.MethodGet, path: path, reads: true, params: params, out: typeOf[T](), lines: true})
	r.handle("GET "+path, func(svc masu.Service, w http.ResponseWriter, q *http.Request) error {
		out := newLines(r.Server, w, q)
		for item, err := range f(q.Context(), svc, q.URL.Query()) {
			if err != nil {
				return out.fail(err)
			}
			if out.item(item) != nil {
				return nil // nobody reads any more
			}
		}
		if q.Context().Err() != nil {
			return out.fail(q.Context().Err())
		}
		out.result(nothing{})
		return nil
	})
}

// work answers with lines of progress, and then the result.
func work[Q, T any](r router, path string, f func(context.Context, masu.Service, Q, func(masu.Progress)) (T, error)) {
	r.describe(route{method: http.MethodPost, path: path, in: typeOf[Q](), out: typeOf[T](), lines: true})
	r.handle("POST "+path, func(svc masu.Service, w http.ResponseWriter, q *http.Request) error {
		asked, err := readBody[Q](w, q)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(q.Context())
		defer cancel()
		out := newLines(r.Server, w, q)
		answer, err := f(ctx, svc, asked, func(p masu.Progress) {
			if out.item(p) != nil {
				cancel()
			}
		})
		if err != nil {
			return out.fail(err)
		}
		out.result(answer)
		return nil
	})
}

// readBody reads a request's JSON, strictly, and to its end: only then does
// net/http notice when the client goes away.
func readBody[Q any](w http.ResponseWriter, r *http.Request) (Q, error) {
	var q Q
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != typeJSON {
		return q, masu.E(masu.Invalid, "request_not_json", strconv.Quote(r.Header.Get("Content-Type")))
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // without one a slow client only waits longer
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return q, masu.E(masu.Invalid, "request_too_big", masu.Bytes(maxBody))
	}
	if err != nil {
		return q, masu.E(masu.Invalid, "request_odd", "body").Because(err)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, masu.E(masu.Invalid, "request_odd", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return q, masu.E(masu.Invalid, "request_odd", "more than one value")
	}
	return q, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"kind":"internal","code":"internal"}`)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // an error means that nobody reads
}
