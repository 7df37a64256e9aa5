package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/masu-lab/masu"
)

func TestLoopbackOnly(t *testing.T) {
	s := newState()
	h := handler(s, newPasswords(s), newOutputs(t.Context(), nil), newApps(t.Context(), nil), &gauges{})
	for _, c := range []struct {
		host, origin string
		code         int
	}{
		{"127.0.0.1:7625", "", 200}, {"localhost", "", 200}, {"localhost:7625", "", 200}, {"[::1]:7625", "", 200}, {"box", "", 200},
		{"evil.example", "", 403}, {"evil.example:7625", "", 403}, {"127.0.0.1.evil.example", "", 403}, {"10.0.0.1", "", 403}, {"", "", 403},
		{"localhost", "http://localhost:8888", 403},
	} {
		r := httptest.NewRequest("GET", "/v1/status", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func TestWatch(t *testing.T) {
	s := newState()
	web := httptest.NewServer(handler(s, newPasswords(s), newOutputs(t.Context(), nil), newApps(t.Context(), nil), &gauges{}))
	defer web.Close()
	res, err := http.Get(web.URL + "/v1/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() (m masu.AgentStatus) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		return m
	}
	if m := next(); m.Ready || m.Apps == nil {
		t.Errorf("first: %+v", m)
	}
	s.change(func(s *state) { s.received, s.asked = true, startOf(masu.NamedApps("jupyter", "nonsense")) })
	if m := next(); m.Ready || len(m.Apps) != 2 || m.Apps[1].Error == "" {
		t.Errorf("second: %+v", m)
	}
	s.change(func(*state) {})
	s.change(func(s *state) { s.password = "x" })
	if m := next(); m.PasswordID != "x" {
		t.Errorf("third: %+v", m)
	}
}

func TestThroughSocket(t *testing.T) {
	s := newState()
	l, err := listenSocket(masu.User{UID: os.Geteuid()}, filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: connecting(handler(s, newPasswords(s), newOutputs(t.Context(), nil), newApps(t.Context(), nil), &gauges{}))}
	go web.Serve(l)
	defer web.Close()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		c, err := echo.Accept()
		if err != nil {
			return
		}
		io.Copy(c, c)
		c.Close()
	}()
	dial := func(target, early string) (status, rest string) {
		t.Helper()
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n"+early)
		c.(*net.UnixConn).CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		status, rest, _ = strings.Cut(string(b), "\r\n")
		return status, rest
	}
	if status, rest := dial(echo.Addr().String(), "said early"); status != "HTTP/1.1 200 OK" || rest != "\r\nsaid early" {
		t.Errorf("%q, %q", status, rest)
	}
	for target, want := range map[string]string{"10.0.0.1:80": "403", "evil.example:80": "403", "127.0.0.1:1": "502", "[::1]:80": "403", "127.0.0.2:80": "403"} {
		if status, _ := dial(target, ""); !strings.Contains(status, want) {
			t.Errorf("CONNECT %s: %q", target, status)
		}
	}
}

// passwordBox is the handler and what a password test needs of it.
func passwordBox() (h http.Handler, s *state, uid *int) {
	s, uid = newState(), new(int)
	p := newPasswords(s)
	p.who = func(string) int { return *uid }
	return handler(s, p, &outputs{}, &apps{}, &gauges{}), s, uid
}

func call(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "box"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, uid := passwordBox()
		for _, c := range []struct{ password, answer string }{
			{"correct horse", `{"ok":true}`},
			{"", `{"ok":true}`},
			{"short", `{"ok":false,"code":"password_short"}`},
		} {
			answered := make(chan string)
			go func() {
				answered <- call(h, "POST", "/v1/password", `{"password":"`+c.password+`"}`).Body.String()
			}()
			synctest.Wait()
			m, _ := s.now()
			if m.PasswordID == "" {
				t.Fatal("nobody is told that a password waits")
			}
			path := "/v1/password/" + m.PasswordID
			*uid = 30001 // another program of the member's
			if w := call(h, "GET", path, ""); w.Code != 404 || strings.Contains(w.Body.String(), "correct") {
				t.Errorf("the member's programs are told: %d %s", w.Code, w.Body)
			}
			if w := call(h, "POST", path, `{"ok":true}`); w.Code != 404 {
				t.Errorf("the member's programs may answer: %d", w.Code)
			}
			*uid = 0
			if w := call(h, "GET", "/v1/password/guess", ""); w.Code != 404 {
				t.Errorf("another id: %d", w.Code)
			}
			if w := call(h, "GET", path, ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"password":"`+c.password+`"}` {
				t.Errorf("the daemon is told %d %s", w.Code, w.Body)
			}
			if w := call(h, "POST", path, c.answer); w.Code != 204 {
				t.Errorf("the daemon's answer: %d", w.Code)
			}
			if got := strings.TrimSpace(<-answered); got != c.answer {
				t.Errorf("the member is told %s, want %s", got, c.answer)
			}
			if w := call(h, "GET", path, ""); w.Code != 404 {
				t.Errorf("afterwards: %d", w.Code)
			}
			if m, _ := s.now(); m.PasswordID != "" {
				t.Error("it still waits")
			}
		}
	})
}

func TestPasswordUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := passwordBox()
		const want = `{"ok":false,"code":"password_unanswered"}`
		second := make(chan string)
		go func() { // waits for its turn, and gets it too late
			synctest.Wait()
			second <- call(h, "POST", "/v1/password", `{"password":"second"}`).Body.String()
		}()
		if got := call(h, "POST", "/v1/password", `{"password":"first"}`).Body.String(); strings.TrimSpace(got) != want {
			t.Errorf("%s", got)
		}
		if got := <-second; strings.TrimSpace(got) != want {
			t.Errorf("the second: %s", got)
		}
		if m, _ := s.now(); m.PasswordID != "" {
			t.Error("it still waits")
		}
		if w := call(h, "POST", "/v1/password", `{"password":"`+strings.Repeat("x", maxPassword+1)+`"}`); !strings.Contains(w.Body.String(), "password_long") {
			t.Errorf("too long: %s", w.Body)
		}
		if w := call(h, "POST", "/v1/password", `nonsense`); w.Code != 400 {
			t.Errorf("nonsense: %d", w.Code)
		}
	})
}

func TestConversation(t *testing.T) {
	typed := func(lines ...string) func(string) (string, error) {
		return func(string) (string, error) {
			if len(lines) == 0 {
				return "", io.EOF
			}
			l := lines[0]
			lines = lines[1:]
			return l, nil
		}
	}
	long := make([]string, 0, 20)
	for range 10 {
		long = append(long, "one one one", "two two two")
	}
	for _, c := range []struct {
		name, said string
		lines      []string
		tries      int
		reply      passwordReply
		err        error
		code, sent int
	}{
		{name: "the same twice", lines: []string{"correct horse", "correct horse"}, reply: passwordReply{OK: true}, said: "DONE", sent: 1},
		{name: "Enter twice", lines: []string{"", ""}, reply: passwordReply{OK: true}, said: "DONE", sent: 1},
		{name: "a mistake first", lines: []string{"a", "b", "correct horse", "correct horse"}, tries: 5, reply: passwordReply{OK: true}, said: "RETRY DONE", sent: 1},
		{name: "mistakes only", lines: long, tries: 5, said: "RETRY RETRY RETRY RETRY RETRY", code: exitUsage},
		{name: "too short", lines: []string{"a", "a"}, reply: passwordReply{Code: "password_short"}, said: "RETRY", code: exitUsage, sent: 1},
		{name: "too short, then no more", lines: []string{"a", "a"}, tries: 5, reply: passwordReply{Code: "password_short"}, said: "RETRY RETRY", code: exitUsage, sent: 1},
		{name: "masu fails", lines: []string{"a", "a"}, tries: 5, reply: passwordReply{Code: "internal"}, said: "RETRY", code: 1, sent: 1},
		{name: "masu does not answer", lines: []string{"a", "a"}, tries: 5, err: errors.New("refused"), said: "RETRY", code: 1, sent: 1},
		{name: "nothing typed", said: "RETRY", code: exitUsage},
		{name: "typed once", lines: []string{"a"}, said: "RETRY", code: exitUsage},
	} {
		for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
			var out bytes.Buffer
			sent := 0
			conv := conversation{out: &out, words: wordsIn(lang), tries: max(1, c.tries), read: typed(c.lines...)}
			conv.send = func(_ context.Context, password string) (passwordReply, error) {
				sent++
				return c.reply, c.err
			}
			code := conv.run(t.Context())
			var marks []string
			for l := range strings.Lines(out.String()) {
				if l = strings.TrimSpace(l); l == "DONE" || l == "RETRY" {
					marks = append(marks, l)
				}
			}
			if got := strings.Join(marks, " "); code != c.code || got != c.said || sent != c.sent || strings.Contains(out.String(), "horse") {
				t.Errorf("%s (%s): exit %d, sent %d:\n%s", c.name, lang, code, sent, out.String())
			}
		}
	}
}

func TestShellLang(t *testing.T) {
	for _, name := range []string{"MASU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		t.Setenv(name, "")
	}
	for _, c := range []struct {
		name, value string
		want        masu.Lang
	}{
		{"", "", masu.English}, {"LANG", "ja_JP.UTF-8", masu.Japanese}, {"LC_ALL", "en_US.UTF-8", masu.English}, {"MASU_LANG", "ja", masu.Japanese},
	} { // each counts more than those before
		if c.name != "" {
			t.Setenv(c.name, c.value)
		}
		if got := shellLang(); got != c.want {
			t.Errorf("%s=%s: %s", c.name, c.value, got)
		}
	}
}
