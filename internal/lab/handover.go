package lab

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/masu-lab/masu"
)

const lookFor = 10 * time.Second // at folders; how large is what is nice to know

// Handover hands what a member leaves to another: records, homes and, if they
// are asked for, the files. Past leases stay the leaver's: they were.
func (s *service) Handover(ctx context.Context, q masu.HandoverWish) (h masu.Handover, err error) {
	if err := s.admin(); err != nil {
		if !q.Dry {
			s.l.record(ctx, s.actor, "handover", string(q.From)+" "+string(q.To), err)
		}
		return h, err
	}
	if !q.Dry {
		defer func() { s.l.record(ctx, s.actor, "handover", string(q.From)+" "+string(q.To), err) }()
	}
	from, to, err := s.handoverBetween(ctx, q)
	if err != nil {
		return h, err
	}
	var p handing
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { p, err = s.l.handing(tx, q, from, to); return err }); err != nil {
		return h, err
	}
	if q.Dry {
		if why := p.refusal(); why != nil {
			p.h.Trouble = troubleOf(why)
		}
		s.l.lookAtFolders(ctx, p.h.Folders)
		return p.h, nil
	}
	release, err := s.l.hold(p.workspaces)
	if err != nil {
		return h, err
	}
	defer release()
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if p, err = s.l.handing(tx, q, from, to); err != nil {
			return err
		}
		if err := p.refusal(); err != nil {
			return err
		}
		return p.write(tx)
	})
	if err != nil {
		return p.h, err
	}
	p.h.Done = true
	s.l.handed(ctx, s.actor, p)
	if q.Files {
		s.l.giveFolders(p.h.Folders, from, to)
	}
	s.l.lookAtFolders(ctx, p.h.Folders)
	return p.h, nil
}

// handoverBetween finds the two. One who leaves may have no login any more.
func (s *service) handoverBetween(ctx context.Context, q masu.HandoverWish) (from, to masu.User, err error) {
	switch {
	case s.l.cfg.Personal:
		return from, to, masu.E(masu.Invalid, "handover_not_here")
	case q.From == q.To:
		return from, to, masu.E(masu.Conflict, "handover_same", q.To)
	case q.Into != "" && (!path.IsAbs(q.Into) || path.Clean(q.Into) != q.Into):
		return from, to, masu.E(masu.Invalid, "folder_path_unclear", q.Into)
	}
	if err := s.allowed(ctx, q.From, masu.MemberChange{}); err != nil {
		return from, to, err
	}
	if from, err = s.l.cfg.Accounts.ByName(q.From); err != nil {
		from = masu.User{Name: q.From, UID: -1, Home: "/home/" + string(q.From)}
		if q.Files {
			return from, to, masu.E(masu.NotFound, "handover_gone", q.From).Because(err)
		}
	}
	if to, err = s.l.cfg.Accounts.ByName(q.To); err == nil {
		to, err = s.l.admit(ctx, to)
	}
	if err != nil {
		return from, to, masu.E(masu.NotFound, "handover_to", q.To).Because(err)
	}
	return from, to, nil
}

// hold claims workspaces, so that nobody starts one while it changes hands.
func (l *Lab) hold(all []masu.Workspace) (release func(), err error) {
	held := map[masu.WorkspaceID]*operation{}
	release = func() {
		for id, op := range held {
			l.release(id, op)
		}
	}
	for _, w := range all {
		op := l.claim(w.ID)
		if op == nil {
			release()
			return nil, masu.E(masu.Conflict, "handover_running", w.Name)
		}
		held[w.ID] = op
	}
	return release, nil
}

// handed does what follows from a handover that is written down.
func (l *Lab) handed(ctx context.Context, by masu.Actor, p handing) {
	for i, w := range p.workspaces {
		now := p.next[i]
		l.record(ctx, by, "handover", w.Label+" "+now.Label, nil)
		if w.Adopted == nil { // it is the leaver's by its labels, and is made anew at the next start
			if err := l.cfg.Runtime.Remove(ctx, w.ID); err != nil {
				l.log.Warn("remove the box of a workspace that was handed over", "workspace", now.Label, "error", err)
			}
		}
		if _, err := l.endSessions(ctx, "", func(x masu.Session) bool { return x.For == w.ID }); err != nil {
			l.log.Error("end sessions", "workspace", now.Label, "error", err)
		}
		l.mu.Lock()
		delete(l.journals, w.ID)
		l.mu.Unlock()
		l.hub.send(masu.Workspace{ID: w.ID, Owner: w.Owner, Name: w.Name, Label: w.Label})
		l.hub.send(now)
	}
	l.lendSoon()
	n := notice{occasion: masu.OccasionHouse, code: "notice_handed", args: []string{string(p.h.From), strings.Join(p.names(), ", ")}}
	l.tell(ctx, p.h.To, n)
}

// lookAtFolders tells whose the folders are now, and how large, as far as that can be seen.
func (l *Lab) lookAtFolders(ctx context.Context, all []masu.HandedFolder) {
	look, ok := l.cfg.Folders.(masu.FolderGiver)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	for i := range all {
		dir := all[i].Dir
		if all[i].Given {
			dir = all[i].At
		}
		uid, size, err := look.LookFolder(ctx, dir)
		if err != nil && ctx.Err() == nil {
			l.log.Debug("a folder that is handed over", "folder", dir, "error", err)
			continue
		}
		all[i].Size = size
		if u, err := l.cfg.Accounts.ByUID(uid); err == nil {
			all[i].Owner = u.Name
		}
	}
}

// giveFolders moves the folders and gives their files. What cannot be done is left for the admin's own hands.
func (l *Lab) giveFolders(all []masu.HandedFolder, from, to masu.User) {
	giver, ok := l.cfg.Folders.(masu.FolderGiver)
	for i := range all {
		err := error(masu.E(masu.Invalid, "handover_not_here"))
		if ok {
			err = giver.GiveFolder(from, to, all[i].Dir, all[i].At)
		}
		if err != nil {
			l.log.Warn("a folder was not handed over", "folder", all[i].Dir, "to", to.Name, "error", err)
			all[i].Trouble = troubleOf(err)
			continue
		}
		all[i].Given, all[i].Command = true, ""
	}
}

// foldersOf plans where project folders go. One inside another goes with it.
func foldersOf(all []masu.Workspace, from, to masu.User, into string) (list []masu.HandedFolder, at map[string]string) {
	at = map[string]string{}
	var dirs []string
	for _, w := range all {
		if w.Project.Dir != "" {
			dirs = append(dirs, w.Project.Dir)
		}
	}
	slices.Sort(dirs)
	names := map[string]bool{}
	for _, dir := range slices.Compact(dirs) {
		if i := slices.IndexFunc(list, func(f masu.HandedFolder) bool { return inFolder(dir, f.Dir) }); i >= 0 {
			at[dir] = list[i].At + strings.TrimPrefix(dir, list[i].Dir)
			continue
		}
		target := dir // what lies elsewhere may stay there
		if inFolder(dir, from.Home) {
			name := free(path.Base(dir), 255, names)
			names[name] = true
			target = path.Join(cmp.Or(into, to.Home), name)
		}
		at[dir] = target
		list = append(list, masu.HandedFolder{Dir: dir, At: target, Command: giveCommand(from, to, dir, target)})
	}
	return list, at
}

// inFolder tells whether a path is a folder's, or is it.
func inFolder(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

// giveCommand is what an admin types to move a folder and to give it: only what
// was the leaver's, and never what links lead to.
func giveCommand(from, to masu.User, dir, at string) string {
	only := ""
	if from.UID >= 0 {
		only = " --from=" + shellWord(string(from.Name))
	}
	command := "sudo chown -R -P" + only + " " + shellWord(string(to.Name)+":") + " -- " + shellWord(at)
	if dir != at {
		command = "sudo mv -nT -- " + shellWord(dir) + " " + shellWord(at) + " && " + command
	}
	return command
}

// shellWord quotes a word where a shell would read something else. What a
// terminal would obey, or would not show, is written so that it is seen: the
// command is copied from there, and typed as root.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@", r)
	}
	hidden := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	switch {
	case s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0:
		return s
	case strings.IndexFunc(s, hidden) < 0:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for rest := s; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case hidden(r):
			for _, c := range []byte(rest[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		case r == '\'' || r == '\\':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
		rest = rest[n:]
	}
	return b.String() + "'"
}
