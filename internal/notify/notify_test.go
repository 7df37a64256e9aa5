package notify

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

var notice = masu.Notice{At: time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC), Occasion: masu.OccasionEnded, Member: "alice", Workspace: "thesis",
	Title: "ワークスペース thesis が停止しました", Body: "メモリが足りません。\n--masu", URL: "http://localhost:8888/w/thesis", Host: "gpu1"}

func sender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWebhook(t *testing.T) {
	var got map[string]any
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = nil
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %v", r.Header, err)
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(hook.Close)
	s := sender(t, Config{Local: true})
	to := masu.NotifyWish{Webhook: hook.URL + "/secret"}
	if err := s.Notify(t.Context(), to, notice); err != nil {
		t.Fatal(err)
	}
	want := notice.Title + "\n" + notice.Body + "\n" + notice.URL
	if got["text"] != want || got["content"] != want || got["workspace"] != "thesis" || got["occasion"] != "ended" {
		t.Errorf("%v", got)
	}
	for _, status = range []int{http.StatusNotFound, http.StatusFound, http.StatusInternalServerError} {
		err := s.Notify(t.Context(), to, notice)
		if masu.CodeOf(err) != "notify_failed" || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%d: %v", status, err)
		}
	}
	hook.Close()
	if err := s.Notify(t.Context(), to, notice); masu.CodeOf(err) != "notify_failed" || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestNotTheHost: the daemon asks nobody on this machine, whatever a name means.
func TestNotTheHost(t *testing.T) {
	reached := false
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(hook.Close)
	_, port, _ := net.SplitHostPort(hook.Listener.Addr().String())
	s := sender(t, Config{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "[fe80::1%25lo]", "127.1"} {
		err := s.Notify(t.Context(), masu.NotifyWish{Webhook: "http://" + host + ":" + port + "/"}, notice)
		if err == nil || reached {
			t.Errorf("%s: %v, reached: %v", host, err, reached)
		}
	}
	for _, address := range []string{"ftp://x/", "file:///etc/passwd", "http://", "x", "http://user:pw@host/", "http://h/" + strings.Repeat("x", 2000), "unix:/run/docker.sock"} {
		if err := s.Check(masu.NotifyWish{Webhook: address}); masu.CodeOf(err) != "webhook_wrong" {
			t.Errorf("%.40s: %v", address, err)
		}
	}
}

// TestNotTheBoxes: nor does it ask this machine by the addresses that others know
// it by, nor what listens in a box, which its own packets alone may reach.
func TestNotTheBoxes(t *testing.T) {
	here := []link{
		{"eth0", []netip.Prefix{netip.MustParsePrefix("192.168.1.10/24"), netip.MustParsePrefix("2001:db8::10/64")}},
		{"masu-0123456789", []netip.Prefix{netip.MustParsePrefix("172.18.0.1/16")}},
	}
	for address, want := range map[string]struct{ local, remote bool }{ // with Local, and without
		"192.168.1.20":    {true, true},
		"2001:db8::20":    {true, true},
		"203.0.113.7":     {true, true},
		"192.168.1.10":    {true, false},
		"2001:db8::10":    {true, false},
		"127.0.0.1":       {true, false},
		"172.18.0.1":      {false, false},
		"172.18.0.7":      {false, false},
		"100.100.100.200": {false, false},
		"169.254.169.254": {false, false},
		"fd00:ec2::254":   {false, false},
	} {
		a := netip.MustParseAddr(address)
		if got := (Config{Local: true}).allows(a, here); got != want.local {
			t.Errorf("%s, where this machine's own services may be asked: %v", a, got)
		}
		if got := (Config{}).allows(a, here); got != want.remote {
			t.Errorf("%s: %v", a, got)
		}
	}
	list, err := links()
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	_, port, _ := net.SplitHostPort(hook.Listener.Addr().String())
	for _, l := range list {
		for _, p := range l.nets {
			address := net.JoinHostPort(p.Addr().String(), port)
			if err := (Config{}).mayReach("tcp", address, nil); err == nil {
				t.Errorf("%s of %s may be reached", address, l.name)
			}
		}
	}
}

func TestTeams(t *testing.T) {
	b, err := payload("https://prod-1.japaneast.logic.azure.com/workflows/x", notice)
	if err != nil || !strings.Contains(string(b), "AdaptiveCard") || !strings.Contains(string(b), "thesis") {
		t.Errorf("%s, %v", b, err)
	}
}

// sink is a mail server that takes one message.
func sink(t *testing.T) (address string, got <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	messages := make(chan string, 1)
	go func() { // ends when the listener is closed
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		var all strings.Builder
		fmt.Fprint(c, "220 sink\r\n")
		for data := false; ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch verb := strings.ToUpper(strings.TrimSpace(line)); {
			case data && line == ".\r\n":
				data = false
				messages <- all.String()
				fmt.Fprint(c, "250 taken\r\n")
			case data:
				all.WriteString(strings.TrimPrefix(line, "."))
			case verb == "DATA":
				data = true
				fmt.Fprint(c, "354 go on\r\n")
			case verb == "QUIT":
				fmt.Fprint(c, "221 bye\r\n")
				return
			default:
				fmt.Fprint(c, "250 ok\r\n")
			}
		}
	}()
	return l.Addr().String(), messages
}

func TestMail(t *testing.T) {
	address, got := sink(t)
	s := sender(t, Config{Mail: Mail{Server: address, From: "masu@lab.example", TLS: "none"}})
	if err := s.Notify(t.Context(), masu.NotifyWish{Mail: "alice@lab.example"}, notice); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(<-got))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "[masu] "+notice.Title || !strings.Contains(m.Header.Get("To"), "alice@lab.example") || m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%q, %v, %v", subject, err, m.Header)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "メモリが足りません。") || !strings.Contains(string(body), notice.URL) {
		t.Errorf("%s, %v", body, err)
	}
}

func TestMailAddresses(t *testing.T) {
	s := sender(t, Config{Mail: Mail{Server: "localhost:25", From: "masu@lab.example"}})
	for _, to := range []string{"alice", "Alice <alice@lab.example>", "a@b, c@d", "a@b\r\nBcc: c@d", "-oX@b\x00"} {
		if err := s.Check(masu.NotifyWish{Mail: to}); masu.CodeOf(err) != "mail_wrong" {
			t.Errorf("%q: %v", to, err)
		}
	}
	if err := s.Check(masu.NotifyWish{Mail: "alice@lab.example"}); err != nil {
		t.Error(err)
	}
	if err := sender(t, Config{}).Check(masu.NotifyWish{Mail: "alice@lab.example"}); masu.CodeOf(err) != "notify_no_mail" {
		t.Errorf("without a server: %v", err)
	}
	for _, m := range []Mail{{Server: "x", From: "a@b"}, {Server: "x:25", From: ""}, {Server: "x:25", From: "a@b", TLS: "maybe"}} {
		if _, err := New(Config{Mail: m}); err == nil {
			t.Errorf("%+v is taken", m)
		}
	}
}

// TestMailWithoutTLS: a password never goes over a line that is open.
func TestMailWithoutTLS(t *testing.T) {
	address, _ := sink(t)
	s := sender(t, Config{Mail: Mail{Server: address, From: "masu@lab.example", User: "masu", Password: "secret"}})
	err := s.Notify(t.Context(), masu.NotifyWish{Mail: "alice@lab.example"}, notice)
	if masu.CodeOf(err) != "notify_failed" {
		t.Errorf("a server without STARTTLS: %v", err)
	}
}
