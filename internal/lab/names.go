package lab

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"

	"github.com/masu-lab/masu"
)

// newID makes an identity of 12 lower-case letters and digits.
func newID() masu.WorkspaceID { return masu.WorkspaceID(strings.ToLower(rand.Text()[:12])) }

// homeVolume is the volume that holds a workspace's home.
func homeVolume(id masu.WorkspaceID) string { return "masu-home-" + string(id) }

// workspaceFor finds the workspace that a wish means, or makes one that is not stored yet.
func (s *service) workspaceFor(all []masu.Workspace, p masu.Project, r masu.UpRequest) (masu.Workspace, error) {
	name := r.Name
	if name == "" {
		name = p.Name
	}
	if name == "" {
		name = s.l.cfg.NameFor(p.Dir)
	}
	if !masu.ValidWorkspaceName(name) {
		return masu.Workspace{}, masu.E(masu.Invalid, "workspace_name", name)
	}
	taken := map[string]bool{}
	labels := map[string]bool{}
	for _, w := range all {
		labels[w.Label] = true
		if w.Owner != s.actor.Name {
			continue
		}
		if w.Project.Dir == p.Dir && (r.Name == "" || w.Name == name) || w.Name == name && w.Project.Dir == "" {
			return w, nil
		}
		taken[w.Name] = true
	}
	if taken[name] && r.Name != "" {
		return masu.Workspace{}, masu.E(masu.Conflict, "name_taken", name)
	}
	name = free(name, 30, taken)
	return masu.Workspace{ID: newID(), Owner: s.actor.Name, Name: name, Label: label(name, s.actor.Name, labels), Phase: masu.Stopped}, nil
}

// unused gives a name that the owner has not, after the wished one, and a label that nobody has.
func unused(all []masu.Workspace, owner masu.Username, wished string) (name, as string) {
	names, labels := map[string]bool{}, map[string]bool{}
	for _, w := range all {
		labels[w.Label] = true
		names[w.Name] = names[w.Name] || w.Owner == owner
	}
	name = free(wished, 30, names)
	return name, label(name, owner, labels)
}

// free gives name, or name-2, name-3, … whichever is not taken.
func free(name string, limit int, taken map[string]bool) string {
	for n, try := 2, name; ; n++ {
		if !taken[try] {
			return try
		}
		suffix := fmt.Sprintf("-%d", n)
		try = strings.TrimRight(name[:min(len(name), limit-len(suffix))], "-") + suffix
	}
}

var notHost = regexp.MustCompile(`[^a-z0-9]+`)

// label makes NAME--USER fit for one part of a host name: small letters,
// digits and hyphens, 63 at most, no second "--".
func label(name string, owner masu.Username, taken map[string]bool) string {
	user := strings.Trim(notHost.ReplaceAllString(strings.ToLower(string(owner)), "-"), "-")
	if user == "" {
		user = "u"
	}
	user = strings.TrimRight(user[:min(len(user), 27)], "-") // leaves room for APP-- and a number
	return free(name+"--"+user, 63, taken)
}
