package host

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	maxName   = 256              // a longer name is nobody's
	askTime   = 5 * time.Second  // what a directory service has to answer
	askAgain  = 30 * time.Second // how long its answer is believed
	maxAnswer = 1000             // how many are kept
)

// entry is one line of /etc/passwd.
type entry struct {
	name     string
	uid, gid int
	home     string
	shell    string
}

// ByUID finds the login with that number; see masu.Accounts.
func (h *Host) ByUID(uid int) (masu.User, error) {
	return h.remembered("number "+strconv.Itoa(uid), func() (masu.User, bool, error) { return h.byUID(uid) })
}

func (h *Host) byUID(uid int) (masu.User, bool, error) {
	return h.account(strconv.Itoa(uid), func(e entry) bool { return e.uid == uid })
}

// ByName finds the login with that name; see masu.Accounts.
func (h *Host) ByName(name masu.Username) (masu.User, error) {
	if !plausible(string(name)) {
		return masu.User{}, masu.E(masu.NotFound, "no_account", truncate(string(name)))
	}
	return h.remembered("name "+string(name), func() (masu.User, bool, error) { return h.byName(name) })
}

func (h *Host) byName(name masu.Username) (masu.User, bool, error) {
	return h.account(string(name), func(e entry) bool { return e.name == string(name) })
}

// plausible refuses what no login is called and getent would misread.
func plausible(name string) bool {
	return name != "" && len(name) <= maxName && name[0] != '-' &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ':' || r == '/' || r == ',' })
}

func truncate(s string) string {
	if len(s) > 32 {
		return s[:32] + "…"
	}
	return s
}

// account looks in the host's own files first and asks the name service, which
// may be a directory on the network, only for who is not there. It tells
// whether the files alone have answered.
func (h *Host) account(key string, is func(entry) bool) (u masu.User, files bool, err error) {
	passwd, err := os.ReadFile(filepath.Join(h.etc, "passwd"))
	if err != nil {
		return u, false, err
	}
	e, found := find(passwd, is)
	local := found
	if !found {
		e, found = find(h.getent("passwd", key), is) // a name of digits is taken for a number: is decides
	}
	if !found {
		return u, false, masu.E(masu.NotFound, "no_account", key)
	}
	u = masu.User{Name: masu.Username(e.name), UID: e.uid, GID: e.gid, Home: e.home}
	var names []string
	u.Groups, names, files = h.groups(e, local)
	if !h.isMember(e, names) {
		return masu.User{}, files, masu.E(masu.NotFound, "no_account", key)
	}
	u.Admin = e.uid == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(h.cfg.AdminGroups, n) })
	return u, files, nil
}

// firstMember is the first UID of people, as Debian and most others hand them out.
const firstMember = 1000

// isMember tells whether a login is a person's who may use the lab: not a
// system's own, with a shell, and in the members' group where there is one.
// Root may always, and so may whoever a personal masu serves.
func (h *Host) isMember(e entry, groups []string) bool {
	shell := filepath.Base(e.shell)
	switch {
	case e.uid == 0 || !h.cfg.Root:
		return true
	case e.uid < firstMember, shell == "nologin", shell == "false":
		return false
	}
	return h.cfg.Members == "" || slices.Contains(groups, h.cfg.Members)
}

// All lists the members; see masu.Accounts. A directory that will not list its
// logins leaves only those in the host's own files.
func (h *Host) All() ([]masu.User, error) {
	passwd, err := os.ReadFile(filepath.Join(h.etc, "passwd"))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var all []masu.User
	for _, source := range [][]byte{passwd, h.getent("passwd")} {
		find(source, func(e entry) bool {
			if !seen[e.name] && e.uid >= firstMember && (h.cfg.Root || e.uid == os.Geteuid()) {
				seen[e.name] = true
				if u, err := h.ByName(masu.Username(e.name)); err == nil {
					all = append(all, u)
				}
			}
			return false // go on
		})
	}
	slices.SortFunc(all, func(a, b masu.User) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, nil
}

func find(passwd []byte, is func(entry) bool) (entry, bool) {
	for line := range bytes.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
		if len(f) < 7 || !plausible(f[0]) {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 31)
		gid, err2 := strconv.ParseUint(f[3], 10, 31)
		if e := (entry{f[0], int(uid), int(gid), f[5], f[6]}); err1 == nil && err2 == nil && is(e) {
			return e, true
		}
	}
	return entry{}, false
}

// groups gives the supplementary groups by number, and the names of all groups
// that the login is in, its own among them; files, as account does.
func (h *Host) groups(e entry, local bool) (list []masu.Group, all []string, files bool) {
	names, in := h.groupFile(e.name)
	files = local && !h.otherGroups()
	if !files {
		for _, gid := range initgroups(h.getent("initgroups", e.name)) {
			in[gid] = true
		}
	}
	files = !h.nameGroups(names, in, e.gid) && files
	all = []string{names[e.gid]}
	for gid := range in {
		if gid != e.gid {
			list = append(list, masu.Group{Name: names[gid], GID: gid})
			all = append(all, names[gid])
		}
	}
	slices.SortFunc(list, func(a, b masu.Group) int { return a.GID - b.GID })
	return list, all, files
}

// groupFile reads /etc/group: the names of groups, and those that have the member.
func (h *Host) groupFile(member string) (names map[int]string, in map[int]bool) {
	names, in = map[int]string{}, map[int]bool{}
	b, err := os.ReadFile(filepath.Join(h.etc, "group"))
	if err != nil {
		h.cfg.Log.Warn("groups unknown", "err", err)
	}
	readGroups(b, func(name string, gid int, members []string) {
		if _, twice := names[gid]; !twice {
			names[gid] = name
		}
		if slices.Contains(members, member) {
			in[gid] = true
		}
	})
	return names, in
}

func readGroups(b []byte, each func(name string, gid int, members []string)) {
	for line := range bytes.Lines(b) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
		if len(f) < 4 || f[0] == "" {
			continue
		}
		if gid, err := strconv.ParseUint(f[2], 10, 31); err == nil {
			each(f[0], int(gid), strings.Split(f[3], ","))
		}
	}
}

// nameGroups asks for the names that /etc/group does not know, and tells whether there were any.
func (h *Host) nameGroups(names map[int]string, in map[int]bool, own int) (asked bool) {
	var unknown []string
	for gid := range in {
		if names[gid] == "" {
			unknown = append(unknown, strconv.Itoa(gid))
		}
	}
	if names[own] == "" && !in[own] {
		unknown = append(unknown, strconv.Itoa(own))
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		readGroups(h.getent("group", unknown...), func(name string, gid int, _ []string) { names[gid] = name })
	}
	for gid := range in {
		if names[gid] == "" {
			names[gid] = "g" + strconv.Itoa(gid)
		}
	}
	return len(unknown) > 0
}

// initgroups reads "name  GID GID…".
func initgroups(b []byte) []int {
	var gids []int
	for i, f := range strings.Fields(string(b)) {
		if gid, err := strconv.ParseUint(f, 10, 31); err == nil && i > 0 {
			gids = append(gids, int(gid))
		}
	}
	return gids
}

// otherGroups tells whether groups come from elsewhere than /etc/group too.
func (h *Host) otherGroups() bool {
	b, err := os.ReadFile(filepath.Join(h.etc, "nsswitch.conf"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		sources, ours := strings.CutPrefix(strings.TrimSpace(line), "group:")
		for _, s := range strings.Fields(sources) {
			if ours && s != "files" && s != "compat" && s != "systemd" && !strings.HasPrefix(s, "[") {
				return true
			}
		}
	}
	return false
}

// answer is what getent said, and when.
type answer struct {
	out []byte
	at  time.Time
}

// getent asks the name service. Answers, also empty ones, are kept a moment,
// so that a directory on the network is not asked for every request.
func (h *Host) getent(database string, keys ...string) []byte {
	args := append([]string{"--", database}, keys...)
	key := strings.Join(args, "\n")
	h.mu.Lock()
	defer h.mu.Unlock() // one question at a time: whoever guesses names does not fork a crowd
	if a, ok := h.asked[key]; ok && time.Since(a.at) < askAgain {
		return a.out
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime) // masu.Accounts carries no context
	defer cancel()
	cmd := exec.CommandContext(ctx, "getent", args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if _, says := errors.AsType[*exec.ExitError](err); err != nil && (!says || ctx.Err() != nil) {
		h.cfg.Log.Warn("the name service does not answer", "database", database, "err", err)
	}
	if len(h.asked) >= maxAnswer {
		clear(h.asked)
	}
	h.asked[key] = answer{out, time.Now()}
	return out
}
