package masutest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// exec runs a command and gives what it wrote.
func (g *guest) exec(name string, e masu.Exec) (code int, stdout, stderr string) {
	g.Helper()
	var out, errOut safeBuffer
	e.Stdout, e.Stderr = &out, &errOut
	code, err := g.svc.Exec(g.ctx, name, e)
	if err != nil {
		g.Fatalf("exec %q: %v", e.Argv, err)
	}
	return code, out.String(), errOut.String()
}

func testServiceExec(g *guest) {
	name := g.up().Name
	for _, c := range []struct {
		argv []string
		code int
	}{
		{[]string{"true"}, 0}, {[]string{"false"}, 1}, {[]string{"sh", "-c", "exit 41"}, 41},
		{[]string{"/etc/passwd"}, 126}, {[]string{"no-such-command"}, 127},
	} {
		if code, _, _ := g.exec(name, masu.Exec{Argv: c.argv}); code != c.code {
			g.Errorf("%q ended with %d, want %d", c.argv, code, c.code)
		}
	}
	code, out, errOut := g.exec(name, masu.Exec{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}})
	if code != 3 || out != "out\n" || errOut != "err\n" {
		g.Errorf("exit code %d, stdout %q, stderr %q", code, out, errOut)
	}
	code, out, _ = g.exec(name, masu.Exec{Argv: []string{"sh", "-c", "echo $SUITE; pwd"}, Env: []string{"SUITE=a 日本 b"}, Dir: "/tmp"})
	if code != 0 || out != "a 日本 b\n/tmp\n" {
		g.Errorf("variable and folder came as %q", out)
	}
	// The end of the input arrives: else cat would wait for ever.
	if code, out, _ := g.exec(name, masu.Exec{Argv: []string{"cat"}, Stdin: strings.NewReader("in\n")}); code != 0 || out != "in\n" {
		g.Errorf("cat ended with %d, %q", code, out)
	}
	if code, out, _ := g.exec(name, masu.Exec{Argv: []string{"cat"}}); code != 0 || out != "" {
		g.Errorf("cat of nothing ended with %d, %q", code, out)
	}
	// A command that ends before its input does not wait for it.
	r, w := io.Pipe()
	defer w.Close()
	if code, _, _ := g.exec(name, masu.Exec{Argv: []string{"true"}, Stdin: r}); code != 0 {
		g.Errorf("true ended with %d", code)
	}
	if code, err := g.svc.Exec(g.ctx, name, masu.Exec{Argv: []string{"echo", "to nobody"}}); code != 0 || err != nil {
		g.Errorf("without writers: %d, %v", code, err)
	}
}

// testServiceExecBig: what goes in comes out, also when it is far more than any buffer.
func testServiceExecBig(g *guest) {
	name := g.up().Name
	const size = 10 << 20
	in, out := sha256.New(), sha256.New()
	code, err := g.svc.Exec(g.ctx, name, masu.Exec{
		Argv: []string{"cat"}, Stdin: io.TeeReader(io.LimitReader(rand.Reader, size), in), Stdout: out,
	})
	if code != 0 || err != nil || string(in.Sum(nil)) != string(out.Sum(nil)) {
		g.Errorf("cat ended with %d, %v; the same came out: %t", code, err, string(in.Sum(nil)) == string(out.Sum(nil)))
	}
}

func testServiceExecCancelled(g *guest) {
	name := g.up().Name
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	in, send := io.Pipe()
	defer send.Close()
	receive, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := g.svc.Exec(ctx, name, masu.Exec{Argv: []string{"cat"}, Stdin: in, Stdout: out})
		_ = out.CloseWithError(err)
		done <- err
	}()
	if _, err := send.Write([]byte("x")); err != nil {
		g.Fatal(err)
	}
	if _, err := io.ReadFull(receive, make([]byte, 1)); err != nil { // it runs
		g.Fatal(err)
	}
	cancel()
	if err := <-done; !ended(err) {
		g.Errorf("exec whose context has ended returned %v", err)
	}
	if code, _, _ := g.exec(name, masu.Exec{Argv: []string{"true"}}); code != 0 {
		g.Errorf("after that true ends with %d", code)
	}
}

// testServiceDial speaks HTTP to the agent, which every box has.
func testServiceDial(g *guest) {
	name := g.up().Name
	conn, err := g.svc.Dial(g.ctx, name, masu.AgentPort)
	if err != nil {
		g.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		g.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /v1/status HTTP/1.0\r\nHost: box\r\n\r\n"); err != nil {
		g.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(b), http.StatusText(http.StatusOK)) || !strings.Contains(string(b), `"ready"`) {
		g.Errorf("the agent answers %q, %v", b, err)
	}
}

func testServiceLogs(g *guest) {
	name := g.up().Name
	if err := g.svc.Logs(g.ctx, name, io.Discard, false); err != nil {
		g.Errorf("logs: %v", err)
	}
	wantError(g.T, g.svc.SideLogs(g.ctx, name, "db", io.Discard, false), masu.NotFound, "no_side")
	done := make(chan error, 1)
	go func() { done <- g.svc.Logs(g.ctx, name, io.Discard, true) }()
	if _, err := g.svc.Stop(g.ctx, name); err != nil {
		g.Fatal(err)
	}
	if err := <-done; err != nil {
		g.Errorf("following until it ended: %v", err)
	}
}

func testServiceRun(g *guest) {
	var out safeBuffer
	code, err := g.svc.Run(g.ctx, masu.RunRequest{
		Dir:  g.folder(),
		Exec: masu.Exec{Argv: []string{"sh", "-c", "cat; exit 7"}, Stdin: strings.NewReader("in\n"), Stdout: &out},
	}, func(masu.Progress) {})
	if code != 7 || err != nil || out.String() != "in\n" {
		g.Errorf("run ended with %d, %v, %q", code, err, out.String())
	}
	_, err = g.svc.Run(g.ctx, masu.RunRequest{Dir: "/no/such/folder", Exec: masu.Exec{Argv: []string{"true"}}}, nil)
	wantError(g.T, err, masu.Invalid, "folder_not_found")
}

// safeBuffer may be written to while it is read.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
