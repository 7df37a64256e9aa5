package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// TestOddRequests: what masu's own command never sends.
func TestOddRequests(t *testing.T) {
	lab := masutest.NewService()
	t.Cleanup(func() { _ = lab.Close() })
	d := openDoor(t, me(), lab.As, nil)
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
	}}}
	defer c.CloseIdleConnections()
	for _, q := range []struct {
		name, route, kind, body string
		status                  int
		code                    string
	}{
		{"fine", "POST /v1/stop", typeJSON, `{"name":"w"}`, 404, "no_workspace"},
		{"fine, with a charset", "POST /v1/stop", typeJSON + "; charset=utf-8", `{"name":"w"}`, 404, "no_workspace"},
		{"unknown route", "GET /v1/nothing", "", "", 404, "no_route"},
		{"unknown version", "GET /v9/whoami", "", "", 404, "no_route"},
		{"root", "GET /", "", "", 404, "no_route"},
		{"path tricks", "GET /v1//whoami/../whoami", "", "", 404, "no_route"},
		{"wrong method", "GET /v1/up", "", "", 404, "no_route"},
		{"wrong method 2", "DELETE /v1/whoami", "", "", 404, "no_route"},
		{"no content type", "POST /v1/stop", "", `{"name":"w"}`, 400, "request_not_json"},
		{"a form", "POST /v1/stop", "application/x-www-form-urlencoded", `name=w`, 400, "request_not_json"},
		{"plain text", "POST /v1/stop", "text/plain", `{"name":"w"}`, 400, "request_not_json"},
		{"unknown field", "POST /v1/stop", typeJSON, `{"name":"w","force":true}`, 400, "request_odd"},
		{"two values", "POST /v1/stop", typeJSON, `{"name":"w"}{}`, 400, "request_odd"},
		{"no JSON", "POST /v1/stop", typeJSON, `name: w`, 400, "request_odd"},
		{"nothing", "POST /v1/stop", typeJSON, ``, 400, "request_odd"},
		{"wrong type", "POST /v1/stop", typeJSON, `{"name":1}`, 400, "request_odd"},
		{"too big", "POST /v1/stop", typeJSON, `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 400, "request_too_big"},
		{"no upgrade", "POST /v1/exec", typeJSON, `{"name":"w","exec":{"argv":["true"]}}`, 400, "request_odd"},
	} {
		t.Run(q.name, func(t *testing.T) {
			method, path, _ := strings.Cut(q.route, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, "http://masu"+path, strings.NewReader(q.body))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Opaque = "http://masu" + path // as it is, not made clean
			if q.kind != "" {
				r.Header.Set("Content-Type", q.kind)
			}
			answer, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var e wireError
			if err := json.NewDecoder(answer.Body).Decode(&e); err != nil || answer.StatusCode != q.status || e.Code != q.code {
				t.Errorf("%s: %+v, %v; want %d %s", answer.Status, e, err, q.status, q.code)
			}
			if got := answer.Header.Get("Content-Type"); got != typeJSON {
				t.Errorf("the answer is %s", got)
			}
		})
	}
}

func TestOtherVersion(t *testing.T) {
	d := openDoor(t, me(), whoIs, nil)
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/whoami HTTP/1.1\r\nHost: masu\r\nMasu-Version: 2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := decodeError(answer.Body); masu.KindOf(err) != masu.Conflict || masu.CodeOf(err) != "version_mismatch" {
		t.Errorf("the daemon says %v", err)
	}
	// And a daemon that is not what the command expects.
	for head, code := range map[string]string{"Masu-Version: 2 v9.0.0\r\n": "version_mismatch", "Server: nginx\r\n": "not_masu", "Masu-Version: 1 v1\r\n": "not_masu"} {
		c := NewClient(func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
					_, _ = io.WriteString(far, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n"+head+"\r\noops")
				}
			}()
			return near, nil
		}, ClientOptions{})
		_, whoami := c.Whoami(t.Context())
		_, dial := c.Dial(t.Context(), "w", 1)
		for _, err := range []error{whoami, dial} {
			e, ok := errors.AsType[*masu.Error](err)
			if !ok || e.Code != code || code == "version_mismatch" && e.Args[0] != "v9.0.0" {
				t.Errorf("%q: %v", head, err)
			}
		}
	}
}

// TestCutOff: an answer that breaks off in the middle is no success.
func TestCutOff(t *testing.T) {
	for _, said := range []string{"", "HTTP/1.1 200 OK\r\n", "{\"item\":{}}\n", "{\"item\":", "\x04\x00\x00\x00\x01x", "\x04\x00\x00\x00\x09x"} {
		c := NewClient(func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				r, err := http.ReadRequest(bufio.NewReader(far))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				head := "HTTP/1.1 200 OK\r\nMasu-Version: 1 v1\r\n\r\n"
				if r.Header.Get("Upgrade") != "" {
					head = "HTTP/1.1 101 Switching\r\nMasu-Version: 1 v1\r\n\r\n"
				}
				if strings.HasPrefix(said, "HTTP") {
					head = ""
				}
				_, _ = io.WriteString(far, head+said)
			}()
			return near, nil
		}, ClientOptions{})
		_, build := c.Build(t.Context(), masu.BuildWish{}, nil)
		_, exec := c.Exec(t.Context(), "w", masu.Exec{})
		_, whoami := c.Whoami(t.Context())
		for what, err := range map[string]error{"build": build, "exec": exec, "logs": c.Logs(t.Context(), "w", io.Discard, false), "whoami": whoami} {
			if said == "{\"item\":{}}\n" && what == "whoami" {
				continue // that is a whole answer
			}
			if masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != "daemon_gone" {
				t.Errorf("%s after %q: %v", what, said, err)
			}
		}
	}
}

func TestNotUTF8(t *testing.T) {
	c := connect(t, stub{})
	dir := "/home/alice/\x8c\xa4\x8b\x86" // 研究 in Shift_JIS
	_, up := c.Up(t.Context(), masu.UpRequest{Dir: dir})
	_, read := c.Read(t.Context(), dir)
	_, build := c.Build(t.Context(), masu.BuildWish{Dir: dir}, nil)
	_, exec := c.Exec(t.Context(), "w", masu.Exec{Argv: []string{"ls", dir}})
	_, run := c.Run(t.Context(), masu.RunRequest{Dir: dir}, nil)
	for _, err := range []error{up, read, build, exec, run} {
		if masu.CodeOf(err) != "not_utf8" {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{byte(frameStdout), 0, 0, 0, 1, 'x', byte(framePing), 0, 0, 0, 0})
	f.Add([]byte{byte(frameExit), 0, 0, 0, 4, 0, 0, 1, 44})
	f.Add([]byte{byte(frameStdin), 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		var again bytes.Buffer
		out := &frameWriter{w: &again}
		var buf []byte
		for {
			kind, payload, grown, err := readFrame(in, buf)
			if cap(grown) > frameLimit {
				t.Fatalf("%d bytes were set aside", cap(grown))
			}
			if err != nil {
				break
			}
			buf = grown
			if err := out.write(kind, payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("read as %x", again.Bytes())
		}
	})
}

// FuzzReceive: whatever a caller sends, the server comes to an end with it.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{byte(frameStdin), 0, 0, 0, 1, 'x', byte(frameResize), 0, 0, 0, 4, 0, 1, 0, 2, byte(frameStdinEnd), 0, 0, 0, 0, byte(frameStdin), 0, 0, 0, 1, 'x'})
	f.Add([]byte{byte(frameResize), 0, 0, 0, 3, 0, 1, 0})
	f.Add([]byte{byte(frameExit), 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		stdin, pipe := io.Pipe()
		go func() { _, _ = io.Copy(io.Discard, stdin) }()
		err := receive(bytes.NewReader(data), pipe, make(chan masu.WinSize, 1))
		_ = pipe.CloseWithError(err)
		if err == nil {
			t.Error("it ended without saying why")
		}
	})
}

func BenchmarkWhoami(b *testing.B) {
	d := openDoor(b, me(), whoIs, nil)
	c, err := Dial(b.Context(), d.socket, ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if _, err := c.Whoami(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
