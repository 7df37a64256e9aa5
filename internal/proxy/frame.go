package proxy

import (
	"net/http"
	"strings"

	"github.com/masu-lab/masu"
)

// What stands here is about frames: masu's own pages may hold an app in one, and nobody else's may.

// ancestors is the policy of every answer of an app: it may be framed by itself
// and by the pages. What the app says about that itself does not count; it cannot know.
func (t Target) ancestors() string {
	return strings.Join(append([]string{"frame-ancestors 'self'"}, t.Framers...), " ")
}

// withoutAncestors takes the directive about frames out of an app's policies and leaves the others as they were.
func withoutAncestors(lines []string) []string {
	var keep []string
	for _, l := range lines {
		var policies []string
		for policy := range strings.SplitSeq(l, ",") {
			var directives []string
			for d := range strings.SplitSeq(policy, ";") {
				d = strings.Trim(d, " \t")
				if name, _, _ := strings.Cut(strings.ReplaceAll(d, "\t", " "), " "); d != "" && !strings.EqualFold(name, "frame-ancestors") {
					directives = append(directives, d)
				}
			}
			if len(directives) > 0 {
				policies = append(policies, strings.Join(directives, "; "))
			}
		}
		if len(policies) > 0 {
			keep = append(keep, strings.Join(policies, ", "))
		}
	}
	return keep
}

// inside holds what a frame's cookie has let through to what the frame itself
// asks for. Browsers send that cookie wherever the page around it is of the
// pages' site, and take every port of a host for one site: without this, a page
// at another port could load an app's files as if they were its scripts. To go
// there is allowed: who may then show it is for the browser to say, by ancestors.
// (A WebSocket brings no fetch metadata; sameOrigin has seen to it.)
func inside(r *http.Request) error {
	if r.Header["Upgrade"] != nil {
		return nil
	}
	site, mode := r.Header["Sec-Fetch-Site"], r.Header["Sec-Fetch-Mode"]
	if len(site) == 1 && (site[0] == "same-origin" || site[0] == "none") || len(site) == 1 && len(mode) == 1 && mode[0] == "navigate" {
		return nil
	}
	return masu.E(masu.Denied, "cross_origin")
}

// apart makes a cookie of an app's one that browsers keep inside a frame of
// another site, and apart from what the app has outside of it.
func apart(cookie string) string {
	var b strings.Builder
	first := true
	for a := range strings.SplitSeq(cookie, ";") {
		name, _, _ := strings.Cut(a, "=")
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "samesite", "secure", "partitioned":
			if !first { // the first is the cookie itself, whatever it is called
				continue
			}
		}
		if !first {
			b.WriteByte(';')
		}
		b.WriteString(a)
		first = false
	}
	return b.String() + "; SameSite=None; Secure; Partitioned"
}
