package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestWholeDay is a lab's day from end to end: alice comes by the university's
// sign-in, bob by an invitation and the password that he sets, carol by ssh. All
// three press Start at once and run cells; bob takes carol's environment; the
// daemon is killed while a cell runs, whose tab goes on; an attacker with a login tries everything; bob is disabled
// while his kernel works.
func TestWholeDay(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{"e2ealice", "e2ebob", "e2ecarol", "e2emallory"} {
		u := l.member(name)
		if err := os.Chmod(u.HomeDir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l.kill()
	pages := fmt.Sprintf("http://localhost:%d", l.port)
	secret := filepath.Join(l.dir, "secret")
	l.write(secret, "secret\n")
	l.configure(fmt.Sprintf("oidc: {name: 大学, issuer: %q, client_id: masu, secret_file: %s}\n", university(t, pages+"/signin/callback"), secret))
	l.start()

	alice, bob, carol := browser(t, "ja"), browser(t, "ja"), browser(t, "en")
	byUniversity(t, alice, pages, "e2ealice")
	byInvitation(t, l, bob, "e2ebob", "correct horse")
	do(t, carol, chromedp.Navigate(l.bySSH(t, "e2ecarol")))

	all := map[string]context.Context{"e2ealice": alice, "e2ebob": bob, "e2ecarol": carol}
	for who, ctx := range all { // nobody waits for the others
		do(t, ctx, chromedp.Navigate(pages+"/"))
		holds(t, ctx, who+" can start", `document.querySelector('form[action="/start"] button')`)
		do(t, ctx, chromedp.SetValue(`#folder`, "~/work"), chromedp.Click(`form[action="/start"] button`))
	}
	for who, ctx := range all {
		holds(t, ctx, who+"'s runs", `location.pathname === "/w/work" && document.querySelector('[data-open="jupyter"]')`)
	}
	link := strings.TrimSpace(l.must("e2ecarol", "share", "work", "--title", "Carol's"))
	l.must("e2ebob", "init", link, "/home/e2ebob/work")
	origins := map[string]string{}
	for who, ctx := range all {
		openApp(t, ctx, "jupyter")
		if got := runCell(t, ctx, `import getpass, os; open(os.path.expanduser("~/work/mine"), "w").write("secret of "+getpass.getuser()); print(getpass.getuser(), 6 * 7)`); got != who+" 42" {
			t.Errorf("%s's cell printed %q", who, got)
		}
		origins[who] = strings.Split(where(ctx), "/lab")[0]
	}

	goOn(t, alice, `import time; print("be"+"gun", flush=True); exec("while not os.path.exists('go'): time.sleep(0.1)"); print("cell "+"ended")`)
	holds(t, alice, "a cell of hers runs", printed("begun"))
	l.kill()
	l.start()
	for who, ctx := range all {
		l.until(20*time.Second, who+"'s notebook goes on after the daemon was killed", func() bool {
			ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`fetch("`+origins[who]+`/api/contents").then(r => r.ok, () => false)`, chromedp.EvalAwaitPromise))
			return err == nil && ok
		})
	}
	if err := os.WriteFile("/home/e2ealice/work/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	holds(t, alice, "the cell that ran meanwhile ends in the same tab, which nobody has loaded again", printed("cell ended"))
	goOn(t, alice, `print("once "+"more")`)
	holds(t, alice, "and there the next one runs", printed("once more"))
	hers, err := chromedp.Run(alice, chromedp.Evaluate[string](`fetch("`+origins["e2ealice"]+`/files/mine").then(r => r.text(), e => String(e))`, chromedp.EvalAwaitPromise))
	if err != nil || hers != "secret of e2ealice" { // what an attacker asks for is there
		t.Errorf("her own file comes as %q, %v", hers, err)
	}
	attack(t, l, pages, origins)

	l.must("root", "admin", "member", "e2ebob", "--disable")
	l.until(5*time.Second, "bob's notebook gets no answer any more", func() bool {
		ok, err := chromedp.Run(bob, chromedp.Evaluate[bool](`fetch("`+origins["e2ebob"]+`/api/contents", {redirect: "error"}).then(r => !r.ok, () => true)`, chromedp.EvalAwaitPromise))
		return err == nil && ok
	})
	for who, want := range map[string]string{"e2ealice": "running", "e2ebob": "stopped", "e2ecarol": "running"} {
		if got := l.workspacesOf(who); got != want {
			t.Errorf("%s's box is %s", who, got)
		}
	}
	l.must("root", "audit", "verify")
}

// byUniversity signs in at the provider.
func byUniversity(t *testing.T, ctx context.Context, pages, who string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(pages+"/"))
	holds(t, ctx, "the sign-in page offers the university", `document.querySelector('form[action="/signin/sso"] button')`)
	do(t, ctx, chromedp.Click(`form[action="/signin/sso"] button`))
	holds(t, ctx, "the provider asks", `document.querySelector('input[name="username"]')`)
	do(t, ctx, chromedp.SendKeys(`input[name="username"]`, who), chromedp.SendKeys(`input[name="password"]`, "verysecure"), chromedp.Click(`button[type="submit"], input[type="submit"]`))
	holds(t, ctx, who+" is in", `document.querySelector('form[action="/signout"]')?.textContent.includes("`+who+`")`)
}

// byInvitation follows an admin's invitation, sets a password, and comes back by it.
func byInvitation(t *testing.T, l *lab, ctx context.Context, who, password string) {
	t.Helper()
	invited := regexp.MustCompile(`http\S+`).FindString(l.must("root", "admin", "invite", who))
	do(t, ctx, chromedp.Navigate(invited))
	holds(t, ctx, "the invitation leads to the settings", `document.querySelector('form[action="/settings/password"]')`)
	do(t, ctx, chromedp.SendKeys(`#password`, password), chromedp.SendKeys(`#again`, password), chromedp.Click(`form[action="/settings/password"] button`))
	holds(t, ctx, "the password is set", `document.querySelector('.note[role="status"]')`)
	do(t, ctx, chromedp.Click(`form[action="/signout"] button`))
	holds(t, ctx, "the sign-in page is there", `document.querySelector('form[action="/signin"] input[name="password"]')`)
	do(t, ctx, chromedp.SendKeys(`input[name="name"]`, who), chromedp.SendKeys(`input[name="password"]`, password), chromedp.Click(`form[action="/signin"] button`))
	holds(t, ctx, who+" is in", `document.querySelector('form[action="/signout"]')`)
}

// bySSH asks for a one-time link through a real ssh, as from a laptop.
func (l *lab) bySSH(t *testing.T, who string) string {
	t.Helper()
	u, err := user.Lookup(who)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err == nil {
		err = os.Chmod(dir, 0o755)
	}
	run := func(argv ...string) string {
		t.Helper()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		return string(out)
	}
	run("usermod", "-p", "*", who) // no password, but not locked
	for _, key := range []string{"host", "laptop"} {
		run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	run("install", "-d", "-m", "755", "/run/sshd")
	run("install", "-m", "644", filepath.Join(dir, "laptop.pub"), filepath.Join(dir, "authorized"))
	port := freePort(t)
	conf := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nSetEnv MASU_SOCKET=%s\n",
		port, filepath.Join(dir, "host"), filepath.Join(dir, "authorized"), l.socket)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "conf"))
	sshd.Stderr = t.Output()
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sshd.Process.Kill(); _ = sshd.Wait() })
	l.until(10*time.Second, "sshd listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	out, err := exec.Command("ssh", "-F", "none", "-i", filepath.Join(dir, "laptop"), "-p", fmt.Sprint(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", u.Username+"@127.0.0.1", l.bin, "open").CombinedOutput()
	link := regexp.MustCompile(`http\S+`).FindString(string(out))
	if err != nil || link == "" {
		t.Fatalf("ssh: %v: %s", err, out)
	}
	return link
}

// attack is a member who wants what is others': by the command line, by the
// page, by another's origin, on the wire, and in the files. They get nothing.
func attack(t *testing.T, l *lab, pages string, origins map[string]string) {
	t.Helper()
	got := func(how, out string) {
		t.Helper()
		if strings.Contains(out, "secret of") || strings.Contains(out, "uid=") {
			t.Errorf("%s: the attacker got %q", how, tail(out, 5))
		}
	}
	mustFail := func(args ...string) {
		t.Helper()
		r := l.as("e2emallory", args...)
		if r.code == 0 {
			t.Errorf("masu %s succeeded: %s", strings.Join(args, " "), r.out)
		}
		got(strings.Join(args, " "), r.out+r.errOut)
	}
	for _, victim := range []string{"e2ealice/work", "e2ebob/work", "e2ecarol/work"} {
		for _, args := range [][]string{
			{"exec", victim, "--", "cat", "work/mine"}, {"exec", victim, "id"}, {"open", victim}, {"logs", victim}, {"stop", victim}, {"rm", "--yes", victim},
			{"guest", "add", victim, "e2emallory", "--yes"}, {"share", victim}, {"keep", victim, "--yes"}, {"check", victim}, {"eject", victim},
		} {
			mustFail(args...)
		}
	}
	for _, args := range [][]string{
		{"up", "--no-check", "/home/e2ealice/work"}, {"run", "--", "cat", "/home/e2ealice/work/mine"}, {"init", "--force", "/home/e2ealice/work"},
		{"admin", "members"}, {"admin", "rules", "--guests", "yes"}, {"admin", "invite", "e2ealice"}, {"adopt", "x", "--owner", "e2emallory"}, {"audit", "--member", "e2ealice"},
		{"ls", "--all"}, {"backup", "/tmp/e2emallory.tar.gz"}, {"serve", "--install", "--yes"},
	} {
		mustFail(args...)
	}
	jar := cookiesOf(t, l.link("e2emallory"))
	for _, path := range []string{"/w/work", "/w/work--e2ealice", "/open/work--e2ealice/jupyter", "/w/work--e2ealice/use", "/admin", "/admin/member/e2ealice", "/audit?who=e2ealice"} {
		code, text := fetch(t, http.MethodGet, pages+path, jar)
		if code < 400 && code != http.StatusSeeOther {
			t.Errorf("the page %s: %d", path, code)
		}
		got(path, text)
	}
	for _, path := range []string{"/w/work--e2ealice/stop", "/w/work--e2ealice/guest", "/w/work--e2ealice/dismiss", "/admin/stop", "/admin/rules"} {
		if code, text := fetch(t, http.MethodPost, pages+path, jar); code < 400 {
			t.Errorf("an act at %s: %d %s", path, code, text)
		}
	}
	for _, origin := range origins { // with the cookies of the pages, of an own app, and none
		for _, cookies := range []string{jar, strings.ReplaceAll(jar, "masu_session", "masu_app"), ""} {
			if code, text := fetch(t, http.MethodGet, origin+"/files/mine", cookies); code == http.StatusOK {
				t.Errorf("%s answers: %s", origin, text)
			}
		}
	}
	u, err := user.Lookup("e2emallory")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range l.workspaces("root", "--all") {
		ip := l.boxAddress(w)
		for _, line := range []string{"curl -sS -m 2 http://" + ip + ":8888/", "curl -sS -m 2 http://" + ip + ":7625/v1/status", "cat /home/" + w.Owner + "/work/mine", "ls " + l.dir + "/state"} {
			out, err := exec.Command("setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "sh", "-c", line).CombinedOutput()
			if err == nil {
				t.Errorf("%s gives %s", line, out)
			}
		}
	}
}

// cookiesOf signs in by a one-time link and gives the Cookie header.
func cookiesOf(t *testing.T, link string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	var all []string
	for _, c := range resp.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	if len(all) == 0 {
		t.Fatalf("no session: %s", resp.Status)
	}
	return strings.Join(all, "; ")
}

func fetch(t *testing.T, method, address, cookies string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Cookie", cookies)
	q.Header.Set("Origin", q.URL.Scheme+"://"+q.URL.Host)
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address) // every name below localhost is here, as browsers know
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		}}}
	resp, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
