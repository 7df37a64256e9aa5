package lab

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/masu-lab/masu"
)

const (
	noticesMost   = 1000 // on their way; more are dropped: who gets a thousand reads none
	noticesAtOnce = 4
	longStart     = 2 * time.Minute // a start that takes longer is one that nobody waits for at the screen
	alertEvery    = time.Hour       // admins are told of the same thing so often at most
)

// noticeAgain is after how long a message is tried again that was not taken.
var noticeAgain = []time.Duration{20 * time.Second, 3 * time.Minute}

// notice is something that somebody is to be told.
type notice struct {
	to        masu.Username // "" for everybody, or every admin, who wants to be told
	admins    bool
	occasion  masu.Occasion
	run       *masu.Run      // that has ended
	lease     *masu.Lease    // of a run, that will end, or that args asks for
	workspace masu.Workspace // which, for those about one
	code      string         // a sentence, for the others
	args      []string
	at        time.Time
	tried     int
}

// tell has a member told, if they want to be. It never waits: a message that
// cannot be sent now is tried again for some minutes, by a daemon that lives.
func (l *Lab) tell(ctx context.Context, to masu.Username, n notice) {
	if l.cfg.Notifier == nil {
		return
	}
	var m masu.Member
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = tx.Member(to); return err })
	if err != nil || m.Disabled || !m.Notify.Wants(n.occasion) {
		return
	}
	n.to, n.at = to, time.Now()
	l.enqueue(n)
}

func (l *Lab) enqueue(n notice) {
	select {
	case l.notices <- &n:
	default:
		l.log.Warn("too many notices wait; one is dropped", "member", n.to)
	}
}

// alert tells every admin, but not of the same thing over and over.
func (l *Lab) alert(code string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alertLocked(code, args...)
}

func (l *Lab) alertLocked(code string, args ...any) {
	if l.cfg.Notifier == nil || time.Since(l.alerted[code]) < alertEvery {
		return
	}
	l.alerted[code] = time.Now()
	l.tellAdmins(code, args...)
}

// tellAdmins tells every admin who wants to be told.
func (l *Lab) tellAdmins(code string, args ...any) {
	if l.cfg.Notifier == nil {
		return
	}
	l.enqueue(notice{occasion: masu.OccasionServer, admins: true, code: code, args: masu.E(masu.Internal, code, args...).Args, at: time.Now()})
}

// tellHouse tells everybody what is new.
func (l *Lab) tellHouse(old, now masu.House) {
	if l.cfg.Notifier == nil {
		return
	}
	n := notice{occasion: masu.OccasionHouse, at: time.Now()}
	if now.Banner != "" && now.Banner != old.Banner {
		n.code, n.args = "notice_house", []string{now.Banner}
		l.enqueue(n)
	}
	if !now.ClosedAt.IsZero() && !now.ClosedAt.Equal(old.ClosedAt) {
		n.code, n.args = "notice_closes", []string{now.ClosedAt.Local().Format("2006-01-02 15:04")}
		l.enqueue(n)
	}
}

// spread makes a notice for everybody one for each.
func (l *Lab) spread(ctx context.Context, n notice) {
	var all []masu.Member
	if err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { all, err = tx.Members(); return err }); err != nil {
		l.log.Error("notices", "error", err)
		return
	}
	for _, m := range all {
		if !m.Notify.Wants(n.occasion) {
			continue
		}
		u, err := l.cfg.Accounts.ByName(m.Name)
		if err == nil {
			u, err = l.admit(ctx, u)
		}
		if err == nil && (u.Admin || !n.admins) {
			l.tell(ctx, m.Name, n)
		}
	}
}

// carryNotices sends what waits, until ctx ends.
func (l *Lab) carryNotices(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-l.notices:
			if n.to == "" {
				l.spread(ctx, *n)
			} else {
				l.carry(ctx, *n)
			}
		}
	}
}

// carry sends one. What was not taken comes again later, and keeps nobody else's waiting.
func (l *Lab) carry(ctx context.Context, n notice) {
	var m masu.Member
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = tx.Member(n.to); return err })
	if err == nil && !m.Notify.Wants(n.occasion) {
		return // they changed their mind
	}
	if err == nil {
		err = l.cfg.Notifier.Notify(ctx, m.Notify, l.worded(n, m.Lang))
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	l.log.Warn("notice", "member", n.to, "tried", n.tried+1, "error", err)
	if n.tried < len(noticeAgain) {
		wait := noticeAgain[n.tried]
		n.tried++
		time.AfterFunc(wait, func() { l.enqueue(n) })
	}
}

// worded puts a notice in its reader's language.
func (l *Lab) worded(n notice, lang masu.Lang) masu.Notice {
	if lang == "" {
		lang = masu.Japanese
	}
	pages := l.cfg.Origins.Pages()
	x := masu.Notice{At: n.at, Occasion: n.occasion, Member: n.to, Host: l.cfg.HostName, URL: pages + "/"}
	if n.code != "" {
		x.Title, x.Body = l.cfg.Say(lang, n.code, n.args), l.cfg.Say(lang, n.code+".fix", n.args)
		if name := n.workspace.Name; name != "" {
			x.Workspace, x.URL = name, pages+"/w/"+url.PathEscape(name)
		}
		return x
	}
	if r := n.run; r != nil {
		x.Workspace, x.URL = r.Name, pages+"/runs"
		if x.Title, x.Body = l.cfg.Say(lang, "notice_run", []string{r.Name, strconv.Itoa(r.Code)}), r.Words(); r.Trouble != nil {
			x.Title, x.Body = l.cfg.Say(lang, "notice_run_failed", []string{r.Name}), l.cfg.Say(lang, r.Trouble.Code, r.Trouble.Args)
		}
		return x
	}
	if n.lease != nil {
		l.wordedEnd(&x, *n.lease, n.args, lang)
		return x
	}
	w := n.workspace
	x.Workspace, x.URL = w.Name, pages+"/w/"+url.PathEscape(w.Name)
	code := "notice_ready"
	switch {
	case n.occasion == masu.OccasionEnded && w.Phase == masu.Failed:
		code = "notice_failed"
	case n.occasion == masu.OccasionEnded && w.Phase != masu.Stopped:
		code = "notice_without"
	case n.occasion == masu.OccasionEnded:
		code = "notice_stopped"
	case n.occasion == masu.OccasionAsked:
		x.Title = l.cfg.Say(lang, "notice_asked", []string{string(w.Asked[len(w.Asked)-1]), w.Name})
		x.Body = l.cfg.Say(lang, "notice_asked.fix", []string{w.Name})
		return x
	case n.occasion == masu.OccasionEnding:
		code := "notice_ending"
		switch {
		case w.EndWhy == masu.EndUnclaimed:
			code = "notice_turn"
		case w.OrCPU:
			code = "notice_ending_cpu"
		}
		x.Title = l.cfg.Say(lang, code, []string{w.Name, w.EndsAt.Local().Format("15:04")})
		x.Body = l.cfg.Say(lang, "ending_"+string(w.EndWhy), []string{w.Name})
		return x
	}
	x.Title = l.cfg.Say(lang, code, []string{w.Name})
	if t := w.Trouble; t != nil {
		x.Body = l.cfg.Say(lang, t.Code, t.Args)
		if fix := l.cfg.Say(lang, t.Code+".fix", t.Args); fix != "" {
			x.Body += "\n" + fix
		}
	}
	return x
}

// Notices tells how the actor wants to be told.
func (s *service) Notices(ctx context.Context) (masu.NotifyWish, error) {
	var m masu.Member
	err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { m, err = tx.Member(s.actor.Name); return err })
	if masu.KindOf(err) == masu.NotFound {
		err = nil
	}
	return m.Notify, err
}

// SetNotices changes that.
func (s *service) SetNotices(ctx context.Context, n masu.NotifyWish) (err error) {
	defer func() { s.l.record(ctx, s.actor, "notices", "", err) }()
	for _, o := range n.On {
		if !slices.Contains(masu.Occasions(), o) {
			return masu.E(masu.Invalid, "notify_wish", o)
		}
	}
	if s.l.cfg.Notifier == nil && (n.Webhook != "" || n.Mail != "") {
		return masu.E(masu.Invalid, "notify_no_mail")
	}
	if s.l.cfg.Notifier != nil {
		if err := s.l.cfg.Notifier.Check(n); err != nil {
			return err
		}
	}
	return s.l.member(ctx, s.actor.Name, func(m *masu.Member) { m.Notify = n })
}

// TryNotices sends a message now.
func (s *service) TryNotices(ctx context.Context) error {
	to, err := s.Notices(ctx)
	if err != nil {
		return err
	}
	if s.l.cfg.Notifier == nil || to.Webhook == "" && to.Mail == "" {
		return masu.E(masu.Invalid, "notify_nowhere")
	}
	if wait := s.l.gate.tooOften("notice " + string(s.actor.Name)); wait > 0 {
		return masu.E(masu.Full, "signin_too_often", int(wait/time.Second)+1)
	}
	u, err := s.l.admit(ctx, s.actor.User)
	if err != nil {
		return err
	}
	n := notice{to: s.actor.Name, code: "notice_try", at: time.Now()}
	return s.l.cfg.Notifier.Notify(ctx, to, s.l.worded(n, u.Lang))
}
