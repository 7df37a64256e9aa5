package web_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// counterparts says how each act of the pages is done without a browser: by a
// command, and by a route of the API. "" needs a reason.
var counterparts = map[string]struct{ command, route, reason string }{
	"/signin":                       {"masu open", "", "it is the browser's own way in"},
	"/signin/sso":                   {"masu open", "", "it is the browser's own way in"},
	"/signout":                      {"", "/v1/sessions/end", "a command has no session to leave"},
	"/lang":                         {"", "/v1/lang", "a command follows --lang and the terminal"},
	"/start":                        {"masu up", "/v1/up", ""},
	"/settings/password":            {"masu passwd", "/v1/password", ""},
	"/settings/session":             {"masu sessions rm", "/v1/sessions/end", ""},
	"/settings/notices":             {"masu notify", "/v1/notices", ""},
	"/settings/notices/try":         {"masu notify", "/v1/notices/try", ""},
	"/settings/token":               {"masu token add", "/v1/tokens", ""},
	"/settings/key":                 {"masu keys add", "/v1/keys", ""},
	"/settings/key/delete":          {"masu keys rm", "/v1/keys/delete", ""},
	"/settings/token/delete":        {"masu token rm", "/v1/tokens/delete", ""},
	"/admin/rules":                  {"masu admin rules", "/v1/rules", ""},
	"/admin/member":                 {"masu admin member", "/v1/members/change", ""},
	"/admin/member/{name}/limits":   {"masu admin member", "/v1/members/change", ""},
	"/admin/member/{name}/handover": {"masu admin handover", "/v1/members/handover", ""},
	"/admin/invite":                 {"masu admin invite", "/v1/members/invite", ""},
	"/admin/house":                  {"masu admin notice", "/v1/house", ""},
	"/admin/stop":                   {"masu stop", "/v1/stop", ""},
	"/admin/prune":                  {"masu images prune", "/v1/images/prune", ""},
	"/new":                          {"masu init", "/v1/project", ""},
	"/new/preview":                  {"masu up", "/v1/project/preview", ""},
	"/new/folder":                   {"masu init", "/v1/folder/make", ""},
	"/runs/{id}/cancel":             {"masu runs cancel", "/v1/runs/cancel", ""},
	"/runs/{id}/extend":             {"masu extend", "/v1/leases/extend", ""},
	"/runs/{id}/release":            {"masu release", "/v1/leases/release", ""},
	"/runs/{id}/again":              {"masu runs again", "/v1/runs", ""},
	"/w/{name}/run":                 {"masu run", "/v1/runs", ""},
	"/runs/{id}/forget":             {"masu runs rm", "/v1/runs/forget", ""},
	"/gpus/reserve":                 {"masu reserve", "/v1/reservations", ""},
	"/gpus/unreserve":               {"masu reserve rm", "/v1/reservations/delete", ""},
	"/gpus/feed":                    {"masu token add", "/v1/tokens", ""},
	"/gpus/feed/end":                {"masu token rm", "/v1/tokens/delete", ""},
	"/gpus/ask":                     {"masu gpus ask", "/v1/leases/ask", ""},
	"/e/{id}/change":                {"masu environments retire", "/v1/shared/change", ""},
	"/e/{id}/delete":                {"masu environments rm", "/v1/shared/delete", ""},
	"/w/{name}/keep":                {"masu keep", "/v1/keep", ""},
	"/w/{name}/apps/put":            {"masu app add", "/v1/apps/put", ""},
	"/w/{name}/apps/drop":           {"masu app rm", "/v1/apps/drop", ""},
	"/w/{name}/apps/start":          {"masu app start", "/v1/apps/start", ""},
	"/w/{name}/apps/stop":           {"masu app stop", "/v1/apps/stop", ""},
	"/w/{name}/apps/share":          {"masu app share", "/v1/apps/share", ""},
	"/w/{name}/apps/unshare":        {"masu app unshare", "/v1/apps/unshare", ""},
	"/w/{name}/extend":              {"masu extend", "/v1/leases/extend", ""},
	"/w/{name}/release":             {"masu release", "/v1/leases/release", ""},
	"/w/{name}/guest":               {"masu guest add", "/v1/guests/admit", ""},
	"/w/{name}/dismiss":             {"masu guest rm", "/v1/guests/dismiss", ""},
	"/w/{name}/share":               {"masu share", "/v1/shared", ""},
	"/w/{name}/start":               {"masu up", "/v1/up", ""},
	"/w/{name}/restart":             {"masu up", "/v1/up", ""},
	"/w/{name}/meanwhile":           {"masu up", "/v1/up", ""},
	"/w/{name}/stop":                {"masu stop", "/v1/stop", ""},
	"/w/{name}/remove":              {"masu rm", "/v1/remove", ""},
}

// TestEveryActHasACounterpart: whatever the pages can do, programs and people
// at a terminal can do as well. It reads the sources, so that a new act without
// one fails here.
func TestEveryActHasACounterpart(t *testing.T) {
	read := func(paths ...string) string {
		var all strings.Builder
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
		return all.String()
	}
	acts := regexp.MustCompile(`(?:act\("|route\("POST )([^"]+)"`).FindAllStringSubmatch(read("routes.go"), -1)
	if len(acts) < 30 {
		t.Fatalf("only %d acts were found", len(acts))
	}
	api := read("../api/routes.go", "../api/sharing.go", "../api/lending.go", "../api/runs.go", "../api/people.go", "../api/keys.go", "../api/programs.go")
	seen := map[string]bool{}
	for _, a := range acts {
		path := a[1]
		if path == "+path" || seen[path] {
			continue
		}
		seen[path] = true
		c, ok := counterparts[path]
		if !ok {
			t.Errorf("POST %s has no counterpart: add a command and a route, and a line here", path)
			continue
		}
		if (c.command == "" || c.route == "") && c.reason == "" {
			t.Errorf("POST %s lacks a counterpart, and no reason is given", path)
		}
		if c.command != "" {
			if _, err := os.Stat("../../cmd/masu/testdata/help/en/" + strings.ReplaceAll(c.command, " ", "-") + ".txt"); err != nil {
				t.Errorf("POST %s: there is no %s", path, c.command)
			}
		}
		if c.route != "" && !strings.Contains(api, `"`+c.route+`"`) {
			t.Errorf("POST %s: there is no route %s", path, c.route)
		}
	}
	for path := range counterparts {
		if !seen[path] {
			t.Errorf("%s is no act any more", path)
		}
	}
}
