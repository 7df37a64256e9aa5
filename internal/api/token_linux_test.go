package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// tokens is a gate that knows some tokens, and nothing else.
type tokens struct {
	masu.Gate
	known map[string]masu.Token
	admin masu.Username
}

func (g tokens) ByToken(_ context.Context, secret string) (masu.User, masu.Token, error) {
	k, ok := g.known[secret]
	if !ok {
		return masu.User{}, masu.Token{}, masu.E(masu.Denied, "signin_wrong")
	}
	return masu.User{Name: k.User, UID: 30995, Home: "/home/" + string(k.User), Admin: k.User == g.admin}, k, nil
}

func tokenServer(t *testing.T) (*Server, string) {
	t.Helper()
	lab := masutest.NewService()
	s, err := NewServer(ServerConfig{
		Identify: func(*net.UnixConn) (int, error) { return 0, nil },
		Gate: tokens{admin: "boss", known: map[string]masu.Token{"masu_look": {User: "alice", Scope: masu.ScopeRead}, "masu_all": {User: "alice", Scope: masu.ScopeAll},
			"masu_boss": {User: "boss", Scope: masu.ScopeRead}}},
		Accounts: accounts{}, As: lab.As, Version: "test", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.TokenHandler())
	t.Cleanup(func() { web.Close(); _ = lab.Close() })
	return s, web.URL
}

func ask1(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// TestTokens: over the network only a token says who asks, and its scope what for.
func TestTokens(t *testing.T) {
	_, at := tokenServer(t)
	const look, all, boss = "Bearer masu_look", "Bearer masu_all", "Bearer masu_boss"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
	}{
		{"nobody", "GET", "/api/v1/whoami", "", nil, 401, "token_needed"},
		{"a cookie", "GET", "/api/v1/whoami", "", []string{"Cookie", "masu_session=masu_all"}, 401, "token_needed"},
		{"a wrong token", "GET", "/api/v1/whoami", "", []string{"Authorization", "Bearer masu_none"}, 401, "token_needed"},
		{"another scheme", "GET", "/api/v1/whoami", "", []string{"Authorization", "Basic masu_all"}, 401, "token_needed"},
		{"two tokens", "GET", "/api/v1/whoami", "", []string{"Authorization", look, "Authorization", all}, 401, "token_needed"},
		{"who", "GET", "/api/v1/whoami", "", []string{"Authorization", look}, 200, `"name":"alice"`},
		{"small letters", "GET", "/api/v1/whoami", "", []string{"Authorization", "bearer masu_look"}, 200, `"door":"token"`},
		{"for another", "GET", "/api/v1/whoami", "", []string{"Authorization", boss, headerAs, "alice"}, 200, `"name":"boss"`},
		{"looks", "GET", "/api/v1/workspaces", "", []string{"Authorization", look}, 200, ""},
		{"asks", "POST", "/api/v1/events", `{"limit": 3}`, []string{"Authorization", look}, 200, ""},
		{"changes with a token that looks", "POST", "/api/v1/lang", `{"lang": "ja"}`, []string{"Authorization", look}, 403, "token_reads_only"},
		{"changes", "POST", "/api/v1/lang", `{"lang": "ja"}`, []string{"Authorization", all}, 200, ""},
		{"not JSON", "POST", "/api/v1/lang", `lang=ja`, []string{"Authorization", all}, 400, ""},
		{"others' business", "GET", "/api/v1/members", "", []string{"Authorization", all}, 403, "not_admin"},
		{"the admin", "GET", "/api/v1/members", "", []string{"Authorization", boss}, 200, "boss"},
		{"a connection", "POST", "/api/v1/dial", `{"name": "x", "port": 1}`, []string{"Authorization", all}, 404, "no_route"},
		{"a command", "POST", "/api/v1/exec", `{}`, []string{"Authorization", all}, 404, "no_route"},
		{"a way around", "GET", "/api/v1/../v1/whoami", "", nil, 401, ""},
		{"no route", "GET", "/api/v1/nothing", "", []string{"Authorization", all}, 404, "no_route"},
		{"metrics to nobody", "GET", "/metrics", "", nil, 401, "token_needed"},
		{"metrics to a member", "GET", "/metrics", "", []string{"Authorization", all}, 403, "not_admin"},
		{"metrics", "GET", "/metrics", "", []string{"Authorization", boss}, 200, `masu_workspaces{phase="running"} 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, head := ask1(t, c.method, at+c.path, c.body, c.headers...)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%d, not %d: %s", status, c.status, body)
			}
			if head.Get("Access-Control-Allow-Origin") != "" || head.Get("Cache-Control") != "no-store" && status != 301 && status != 307 {
				t.Errorf("headers: %v", head)
			}
		})
	}
}

// TestMetricsAreWellFormed reads them as Prometheus does.
func TestMetricsAreWellFormed(t *testing.T) {
	_, at := tokenServer(t)
	_, body, _ := ask1(t, "GET", at+"/metrics", "", "Authorization", "Bearer masu_boss")
	m, err := masutest.ParseMetrics(body)
	if err != nil || len(m.Kinds) < 20 || m.Values[`masu_build_info{version="fake"}`] != 1 {
		t.Errorf("%v, %v in\n%s", m.Kinds, err, body)
	}
}

// TestDashboard: the panels that are given to Grafana ask for what there is.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title         string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) < 8 {
		t.Fatalf("%+v, %v", d, err)
	}
	_, at := tokenServer(t)
	_, body, _ := ask1(t, "GET", at+"/metrics", "", "Authorization", "Bearer masu_boss")
	told, err := masutest.ParseMetrics(body)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	ids, places := map[int]bool{}, map[[2]int]bool{}
	for _, p := range d.Panels {
		place := [2]int{p.GridPos.X, p.GridPos.Y}
		if ids[p.ID] || places[place] || p.GridPos.W == 0 || p.GridPos.H == 0 || len(p.Targets) == 0 {
			t.Errorf("the panel %q: %+v", p.Title, p)
		}
		ids[p.ID], places[place] = true, true
		for _, q := range p.Targets {
			for _, name := range regexp.MustCompile(`(masu|process|go)_[a-z_]+`).FindAllString(q.Expr, -1) {
				if shown[name] = true; !told.Told(name) {
					t.Errorf("the panel %q asks for %s, which is not told", p.Title, name)
				}
			}
			if strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") {
				t.Errorf("the panel %q asks %s", p.Title, q.Expr)
			}
		}
	}
	for name, kind := range told.Kinds { // what is counted is worth a panel
		if kind == "counter" && !shown[name] || kind == "histogram" && !shown[name+"_bucket"] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestDocument holds the document to the routes: each is in it once, every
// reference leads somewhere, and what the routes answer is as it says.
func TestDocument(t *testing.T) {
	s, at := tokenServer(t)
	status, body, _ := ask1(t, "GET", at+"/api/v1/openapi.json", "")
	var d struct {
		OpenAPI    string
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal([]byte(body), &d); err != nil || status != 200 || d.OpenAPI != "3.1.0" {
		t.Fatalf("%d %v %.200s", status, err, body)
	}
	ids := map[string]bool{}
	for _, r := range s.api {
		op, ok := d.Paths[APIPath+r.path][strings.ToLower(r.method)]
		if !ok || ids[op.OperationID] {
			t.Errorf("%s %s: missing, or %q stands twice", r.method, r.path, op.OperationID)
		}
		ids[op.OperationID] = true
	}
	for i := strings.Index(body, `"$ref":"`); i >= 0; i = strings.Index(body, `"$ref":"`) {
		body = body[i+len(`"$ref":"`):]
		name := strings.TrimPrefix(body[:strings.IndexByte(body, '"')], "#/components/schemas/")
		if _, ok := d.Components.Schemas[name]; !ok {
			t.Errorf("nothing is called %s", name)
		}
	}
	for _, r := range s.api {
		spans := slices.Contains(r.params, "from")
		if r.method != "GET" || r.lines || len(r.params) > 0 && !slices.Contains(r.params, "all") && !spans {
			continue
		}
		query := ""
		if spans {
			query = "?from=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z"
		}
		status, answer, _ := ask1(t, "GET", at+APIPath+r.path+query, "", "Authorization", "Bearer masu_boss")
		var v any
		if err := json.Unmarshal([]byte(answer), &v); status != 200 || err != nil {
			t.Errorf("%s: %d %v %s", r.path, status, err, answer)
			continue
		}
		for _, wrong := range d.Paths[APIPath+r.path]["get"].Responses["200"].Content[typeJSON].Schema.check(v, d.Components.Schemas, r.path) {
			t.Error(wrong)
		}
	}
}

type operation struct {
	OperationID string
	Responses   map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]schema
	Items      *schema
	Required   []string
}

// check lists where a value is not as the schema says.
func (s schema) check(v any, all map[string]schema, at string) (wrong []string) {
	if s.Ref != "" {
		return all[strings.TrimPrefix(s.Ref, "#/components/schemas/")].check(v, all, at)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			p, ok := s.Properties[name]
			if !ok && s.Properties != nil {
				wrong = append(wrong, at+"."+name+" is not in the document")
			}
			wrong = append(wrong, p.check(x, all, at+"."+name)...)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				wrong = append(wrong, at+"."+name+" is missing")
			}
		}
	case []any:
		for _, x := range v {
			if s.Items == nil {
				return append(wrong, at+" is a list, and not in the document")
			}
			wrong = append(wrong, s.Items.check(x, all, at+"[]")...)
		}
	case string:
		if s.Type != "string" {
			wrong = append(wrong, fmt.Sprintf("%s is a string, not %v", at, s.Type))
		}
	case bool:
		if s.Type != "boolean" {
			wrong = append(wrong, fmt.Sprintf("%s is a boolean, not %v", at, s.Type))
		}
	case float64:
		if s.Type != "integer" && s.Type != "number" {
			wrong = append(wrong, fmt.Sprintf("%s is a number, not %v", at, s.Type))
		}
	}
	return wrong
}
