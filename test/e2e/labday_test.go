package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestLabDay: the admin invites somebody who has never used a terminal; she
// makes a folder and an environment on the page and runs a cell; a colleague
// gets nothing of hers; a program looks on with a token; the admin tells
// everybody something, and then has to disable her in the middle of it all.
func TestLabDay(t *testing.T) {
	l := newLab(t)
	l.member("e2ealice")
	l.member("e2ebob")
	var invited struct{ URL string }
	if err := json.Unmarshal([]byte(l.must("root", "admin", "invite", "e2ealice", "--json")), &invited); err != nil {
		t.Fatal(err)
	}
	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(invited.URL))
	holds(t, ctx, "the invitation leads to the settings", `location.pathname === "/settings" && document.querySelector('input[name="password"]')`)
	do(t, ctx, chromedp.SendKeys(`#password`, "correct horse"), chromedp.SendKeys(`#again`, "correct horse"), chromedp.Click(`form[action="/settings/password"] button`))
	holds(t, ctx, "the password is set", `document.querySelector('.note[role="status"]')`)
	if !l.signIn(t, "e2ealice", "correct horse", "ja") {
		t.Error("her password does not sign in")
	}

	pages := strings.SplitAfter(invited.URL, "/enter")[0]
	pages = strings.TrimSuffix(pages, "/enter")
	do(t, ctx, chromedp.Navigate(pages+"/new"))
	holds(t, ctx, "a folder can be made", `document.querySelector('#made')`)
	do(t, ctx, chromedp.SendKeys(`#made`, "研究"), chromedp.Click(`form[action="/new/folder"] button`))
	holds(t, ctx, "the folder is made, and shown", `new URL(location).searchParams.get("dir")?.endsWith("/研究") && document.querySelector('#plan .kv')`)
	shoot(t, ctx, "new-ja")
	do(t, ctx, chromedp.SendKeys(`#name`, "kenkyu"), chromedp.Click(`button[form="new"]`))
	holds(t, ctx, "Jupyter can be opened", `location.pathname === "/w/kenkyu" && document.querySelector('[data-open="jupyter"]')`)
	if b, err := os.ReadFile("/home/e2ealice/研究/masu.yaml"); err != nil || !strings.Contains(string(b), "preset: python") {
		t.Errorf("masu.yaml: %q, %v", b, err)
	}

	// A program of the admin's.
	var token struct{ Secret string }
	if err := json.Unmarshal([]byte(l.must("root", "token", "add", "--name", "watch", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	if got := withToken(t, pages+"/metrics", token.Secret); !strings.Contains(got, `masu_workspaces{phase="running"} 1`) {
		t.Errorf("metrics:\n%s", got)
	}
	if got := withToken(t, pages+"/api/v1/workspaces?all=true", token.Secret); !strings.Contains(got, `"kenkyu"`) {
		t.Errorf("workspaces: %s", got)
	}

	// The colleague.
	bob := browser(t, "en")
	do(t, bob, chromedp.Navigate(l.link("e2ebob")))
	for _, path := range []string{"/w/kenkyu", "/open/kenkyu", "/open/kenkyu--e2ealice", "/admin"} {
		do(t, bob, chromedp.Navigate(pages+path))
		holds(t, bob, "bob finds nothing at "+path, `!document.querySelector('[data-open]') && !document.body.textContent.includes("研究") && document.querySelector('h1')`)
	}

	openApp(t, ctx, "jupyter")
	if got := runCell(t, ctx, `import os; print(6 * 7, os.getuid() >= 31100)`); got != "42 True" {
		t.Errorf("the cell printed %q", got)
	}
	origin := strings.Split(where(ctx), "/lab")[0]
	classic := browser(t, "ja") // the first one has an unsaved notebook, and would be asked about it
	do(t, classic, chromedp.Navigate(l.link("e2ealice")))
	holds(t, classic, "she is in", `document.querySelector('a[href="/w/kenkyu"]')`)
	do(t, classic, chromedp.Navigate(pages+"/open/kenkyu/jupyter?next=/tree"))
	holds(t, classic, "the classic notebook opens too", `location.pathname.startsWith("/tree") && document.querySelector('#notebook_list, .jp-FileBrowser, #jp-main-content-panel, #ipython-main-app, #site')`)

	l.must("root", "admin", "notice", "Power cut on Friday")
	do(t, bob, chromedp.Navigate(pages+"/"))
	holds(t, bob, "everybody reads the notice", `document.body.textContent.includes("Power cut on Friday")`)

	disabled(t, l, ctx, origin, pages)
	l.must("root", "audit", "verify")
}

// disabled ends everything that alice has going, within five seconds.
func disabled(t *testing.T, l *lab, ctx context.Context, origin, pages string) {
	t.Helper()
	watched := l.watches("e2ealice", pages)
	l.must("root", "admin", "member", "e2ealice", "--disable")
	select {
	case <-watched:
	case <-time.After(5 * time.Second):
		t.Error("what her token watches goes on")
	}
	l.until(5*time.Second, "her open notebook gets no answer any more", func() bool {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`fetch("`+origin+`/api/contents", {redirect: "error"}).then(r => !r.ok, () => true)`, chromedp.EvalAwaitPromise))
		return err == nil && ok
	})
	if p := l.workspacesOf("e2ealice"); p != "stopped" {
		t.Errorf("her box is %q", p)
	}
	if r := l.as("e2ealice", "ls"); r.code == 0 {
		t.Error("her login still gets in at the socket")
	}
	if code := signInStatus(t, pages, url.Values{"name": {"e2ealice"}, "password": {"correct horse"}}); code != http.StatusForbidden {
		t.Errorf("her password still signs in: %d", code)
	}
	if files, err := filepath.Glob("/home/e2ealice/研究/*"); err != nil || len(files) == 0 {
		t.Errorf("her files are gone: %v, %v", files, err)
	}
	l.must("root", "admin", "member", "e2ealice", "--enable")
	if r := l.as("e2ealice", "up", "--no-check", "/home/e2ealice/研究"); r.code != 0 {
		t.Errorf("enabled again, but: %s", r.errOut)
	}
}

// watches follows a member's workspaces by a token, and tells when the stream has ended.
func (l *lab) watches(who, pages string) <-chan struct{} {
	l.t.Helper()
	var token struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(l.must(who, "token", "add", "--name", "watch", "--json")), &token); err != nil {
		l.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, pages+"/api/v1/changes", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token.Secret)
	resp, err := http.DefaultClient.Do(q)
	if err != nil || resp.StatusCode != http.StatusOK {
		l.t.Fatalf("%+v, %v", resp, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}()
	return ended
}

// workspacesOf gives the phase of a member's only workspace, as root sees it.
func (l *lab) workspacesOf(owner string) string {
	for _, w := range l.workspaces("root", "--all") {
		if w.Owner == owner {
			return w.Phase
		}
	}
	return ""
}

// signInStatus sends the form of the sign-in page.
func signInStatus(t *testing.T, pages string, form url.Values) int {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, pages+"/signin", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Origin", pages)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func withToken(t *testing.T, url, secret string) string {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
