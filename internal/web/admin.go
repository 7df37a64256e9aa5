package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// adminView is the lab as its administrator sees it.
type adminView struct {
	base
	Members    []memberView
	Workspaces []labWorkspace
	Images     []imageView
	Prune      []imageView // that nobody needs
	Gain       string      // what removing them frees, at most
	Disk       measureView // the file system of images and homes
	Homes      []homeUse
	House      masu.House
	Rules      []ruleGroup
	Closed     bool
	Closing    bool
	Link       string // an invitation just made
	For        string
	Done       string
	Problem    *problem
	said       url.Values // in the form of rules, where one is wrong
	wrong      string
}

type memberView struct {
	masu.MemberUse
	RoleName string
	State    string   // "" for somebody in good standing
	Limited  []string // what an admin has said for them alone
	Mine     bool
}

type labWorkspace struct {
	Owner  masu.Username
	Card   card
	ID     masu.WorkspaceID
	Disk   string // of its home and box, as last looked
	UsedAt time.Time
	Lent   string // GPU time this month
}

// homeUse is what the workspaces of one member take on the disk.
type homeUse struct {
	Member masu.Username
	Size   masu.Bytes
}

type imageView struct {
	Name, Size, Owners string
	Unused             bool
}

func (s *Server) adminPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showAdmin(w, r, v, http.StatusOK, adminView{})
}

// admins keeps a page to administrators; for others it is not there.
func admins(h handler) handler {
	return members(func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if !v.actor.Admin {
			return masu.E(masu.NotFound, "no_page")
		}
		return h(w, r, v)
	})
}

func (s *Server) showAdmin(w http.ResponseWriter, r *http.Request, v *visit, code int, view adminView) error {
	lang := s.lang(r, v)
	list, err := v.service.Members(r.Context())
	if err != nil {
		return err
	}
	for _, m := range list {
		view.Members = append(view.Members, newMember(lang, m, v.actor.Name))
	}
	if err := s.fillWorkspaces(r, v, &view); err != nil {
		return err
	}
	s.fillImages(r, v, &view)
	rules, err := v.service.Rules(r.Context())
	if err != nil {
		return err
	}
	view.Rules = newRules(lang, rules, view.said, view.wrong)
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	now := time.Now()
	view.House = hello.House
	view.Closed = hello.House.Closed(now)
	view.Closing = !hello.House.ClosedAt.IsZero() && !view.Closed
	return s.show(w, r, v, code, &view)
}

// fillWorkspaces lists everybody's, those that do something first.
func (s *Server) fillWorkspaces(r *http.Request, v *visit, view *adminView) error {
	lang := s.lang(r, v)
	all, err := v.service.Workspaces(r.Context(), true)
	if err != nil {
		return err
	}
	now := time.Now()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.Local)
	rows, err := v.service.GPUUsage(r.Context(), month, now, true)
	if err != nil {
		return err
	}
	lent, homes := map[string]time.Duration{}, map[masu.Username]masu.Bytes{}
	for _, u := range rows {
		lent[string(u.Member)+"/"+u.Name] += u.Lent
	}
	for _, ws := range all {
		x := labWorkspace{Owner: ws.Owner, Card: newCard(lang, ws, v.actor.Name), ID: ws.ID, UsedAt: ws.UsedAt}
		if homes[ws.Owner] += ws.Disk; ws.Disk > 0 {
			x.Disk = diskOf(lang, ws)
		}
		if d := lent[string(ws.Owner)+"/"+ws.Name]; d > 0 {
			x.Lent = since(lang, d)
		}
		view.Workspaces = append(view.Workspaces, x)
	}
	slices.SortStableFunc(view.Workspaces, func(a, b labWorkspace) int {
		return cmp.Or(cmp.Compare(order(a.Card.Phase), order(b.Card.Phase)), b.Card.Since.Compare(a.Card.Since))
	})
	for name, size := range homes {
		if size > 0 {
			view.Homes = append(view.Homes, homeUse{name, size})
		}
	}
	slices.SortFunc(view.Homes, func(a, b homeUse) int { return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Member, b.Member)) })
	return nil
}

// fillImages lists the images, those that could go, and how full their disk is. An
// engine that is away takes only its images from the page.
func (s *Server) fillImages(r *http.Request, v *visit, view *adminView) {
	lang := s.lang(r, v)
	images, err := v.service.Images(r.Context())
	var idle []masu.ImageUse
	if err == nil {
		idle, err = v.service.PruneImages(r.Context(), true)
	}
	var board masu.Board
	if err == nil {
		board, err = v.service.Board(r.Context())
	}
	if err != nil {
		s.log(r, err)
		view.Problem = cmp.Or(view.Problem, newProblem(lang, err))
	}
	for _, i := range images {
		view.Images = append(view.Images, newImage(i))
	}
	var gain masu.Bytes
	for _, i := range idle {
		view.Prune, gain = append(view.Prune, newImage(i)), gain+i.Size
	}
	view.Gain = gain.String()
	if f := board.Images; f.Total > 0 {
		view.Disk = measureView{text.Say(lang, "web.disk"), f.Percent(), masu.Bytes(f.Used).String(), text.Say(lang, "web.of", masu.Bytes(f.Total).String())}
	}
}

func newMember(lang masu.Lang, m masu.MemberUse, me masu.Username) memberView {
	view := memberView{MemberUse: m, Mine: m.Name == me, RoleName: text.Say(lang, "role.member"), Limited: text.Limits(lang, m.Limits)}
	if m.Role != masu.RoleMember {
		view.RoleName = text.Say(lang, "role."+string(m.Role))
	}
	switch {
	case m.Disabled:
		view.State = text.Say(lang, "member_state.disabled")
	case m.Gone:
		view.State = text.Say(lang, "member_state.gone")
	}
	return view
}

func newImage(i masu.ImageUse) imageView {
	view := imageView{Name: i.ID, Size: i.Size.String(), Unused: len(i.Owners) == 0 && !i.InUse}
	if len(i.Refs) > 0 {
		view.Name = string(i.Refs[0])
	}
	var owners []string
	for _, o := range i.Owners {
		owners = append(owners, string(o))
	}
	view.Owners = strings.Join(owners, ", ")
	return view
}

// administered shows what came of an act on the admin page.
func (s *Server) administered(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	if err != nil {
		s.log(r, err)
		return s.showAdmin(w, r, v, status(err), adminView{Problem: newProblem(s.lang(r, v), err)})
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
	return nil
}

// changeMember takes the line of one member.
func (s *Server) changeMember(w http.ResponseWriter, r *http.Request, v *visit) error {
	var c masu.MemberChange
	f := r.PostForm
	if f.Has("role") {
		role := masu.Role(strings.TrimPrefix(f.Get("role"), "member"))
		c.Role = &role
	}
	if f.Has("disabled") {
		disabled := f.Get("disabled") == "yes"
		c.Disabled = &disabled
	}
	return s.administered(w, r, v, v.service.ChangeMember(r.Context(), masu.Username(f.Get("name")), c))
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	link, err := v.service.Invite(r.Context(), masu.Username(name))
	if err != nil {
		return s.administered(w, r, v, err)
	}
	return s.showAdmin(w, r, v, http.StatusOK, adminView{Link: link.URL, For: name})
}

// setHouse takes the notice and the maintenance.
func (s *Server) setHouse(w http.ResponseWriter, r *http.Request, v *visit) error {
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	h := hello.House
	switch f := r.PostForm; {
	case f.Has("banner"):
		h.Banner = f.Get("banner")
	case f.Get("close") == "":
		h.ClosedAt = time.Time{}
	default:
		minutes, err := strconv.Atoi(f.Get("close"))
		if err != nil || minutes < 0 || minutes > 60*24*30 {
			return masu.E(masu.Invalid, "form_wrong")
		}
		h.ClosedAt = time.Now().Add(time.Duration(minutes) * time.Minute)
	}
	return s.administered(w, r, v, v.service.SetHouse(r.Context(), h))
}

func (s *Server) adminStop(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := v.service.Stop(r.Context(), r.PostForm.Get("id"))
	return s.administered(w, r, v, err)
}

func (s *Server) prune(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := v.service.PruneImages(r.Context(), false)
	return s.administered(w, r, v, err)
}

// findingView is one result of doctor that an admin should see.
type findingView struct {
	Message, Fix string
	Bad          bool
}

// doctor gives what is wrong with the server, for the page's script: examining takes a second.
func (s *Server) doctor(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := v.service.Findings(r.Context())
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	found := []findingView{}
	for _, f := range list {
		if f.Severity != masu.Warn && f.Severity != masu.Fail {
			continue
		}
		x := findingView{Message: text.Strings(lang, f.Code, f.Args), Bad: f.Severity == masu.Fail}
		if text.Has(f.Code + ".fix") {
			x.Fix = text.Strings(lang, f.Code+".fix", f.Args)
		}
		found = append(found, x)
	}
	return s.part(w, r, v, "findings", found)
}
