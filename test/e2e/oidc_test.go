package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// university is a real OpenID provider on loopback, with two people in it.
func university(t *testing.T, redirect string) (issuer string) {
	t.Helper()
	people := map[string]*storage.User{}
	for _, name := range []string{"e2ealice", "e2enobody"} {
		people[name] = &storage.User{ID: name, Username: name, Password: "verysecure", FirstName: name, LastName: "X", Email: name + "@univ.example", EmailVerified: true}
	}
	b, err := json.Marshal(people)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "people.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := storage.StoreFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	storage.RegisterClients(storage.WebClient("masu", "secret", redirect))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	issuer = fmt.Sprintf("http://localhost:%d/", l.Addr().(*net.TCPAddr).Port)
	srv := &http.Server{Handler: exampleop.SetupServer(issuer, storage.NewStorage(users), slog.New(slog.DiscardHandler), false)}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return issuer
}

// TestUniversitySignIn: by the sign-in service of the university, for members of
// the lab only; in a real browser, at a real provider.
func TestUniversitySignIn(t *testing.T) {
	l := newLab(t)
	l.member("e2ealice")
	l.kill()
	pages := fmt.Sprintf("http://localhost:%d", l.port)
	secret := filepath.Join(l.dir, "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("oidc: {name: 大学, issuer: %q, client_id: masu, secret_file: %s}\n", university(t, pages+"/signin/callback"), secret)
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	for _, who := range []string{"e2ealice", "e2enobody"} {
		ctx := browser(t, "ja")
		do(t, ctx, chromedp.Navigate(pages+"/settings"))
		holds(t, ctx, "the sign-in page offers the university", `document.querySelector('form[action="/signin/sso"] button')?.textContent.includes("大学")`)
		shoot(t, ctx, "signin-sso")
		do(t, ctx, chromedp.Click(`form[action="/signin/sso"] button`))
		holds(t, ctx, "the provider asks for name and password", `document.querySelector('input[name="password"]') && document.querySelector('input[name="username"]') && location.port !== "`+fmt.Sprint(l.port)+`"`)
		do(t, ctx, chromedp.SendKeys(`input[name="username"]`, who), chromedp.SendKeys(`input[name="password"]`, "verysecure"), chromedp.Click(`button[type="submit"], input[type="submit"]`))
		if who == "e2ealice" {
			holds(t, ctx, "she is signed in, where she wanted to go", `location.pathname === "/settings" && document.querySelector('form[action="/signout"]')?.textContent.includes("e2ealice")`)
			continue
		}
		holds(t, ctx, "who has no login here is refused", `document.querySelector('[role="alert"]')?.textContent.includes("大学") && !document.querySelector('form[action="/signout"]')`)
	}
}

// TestHostPassword: where the admin wishes so, the password of the host signs
// in, and masu's own goes on beside it.
func TestHostPassword(t *testing.T) {
	helper := os.Getenv("MASU_PAM")
	l := newLab(t)
	if helper == "" {
		t.Skip("MASU_PAM is not set; make test builds the helper")
	}
	l.member("e2ealice")
	l.kill()
	const service = "masu-e2e"
	if err := os.WriteFile("/etc/pam.d/"+service, []byte("auth required pam_unix.so nodelay\naccount required pam_unix.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove("/etc/pam.d/" + service) })
	passwd := exec.Command("chpasswd")
	passwd.Stdin = strings.NewReader("e2ealice:of this host\n")
	if out, err := passwd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, fmt.Appendf(nil, "pam: {helper: %s, service: %s}\n", helper, service), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	l.asIn("e2ealice", "", "masu's own\nmasu's own\n", "passwd")
	pages := fmt.Sprintf("http://localhost:%d", l.port)
	for password, want := range map[string]int{"of this host": http.StatusSeeOther, "masu's own": http.StatusSeeOther, "neither": http.StatusForbidden, "": http.StatusForbidden} {
		if code := signInStatus(t, pages, url.Values{"name": {"e2ealice"}, "password": {password}}); code != want {
			t.Errorf("%q: %d, not %d", password, code, want)
		}
	}
}
