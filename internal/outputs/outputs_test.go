package outputs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

// publisher is a kernel's IOPub socket.
type publisher struct {
	t    *testing.T
	conn net.Conn
	key  string
}

// accept greets a subscriber.
func accept(t *testing.T, l net.Listener, key string) *publisher {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &publisher{t, conn, key}
	hello := append(greeting(), flagCommand, byte(len("\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB")))
	p.write(append(hello, "\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"...))
	if _, err := io.ReadFull(conn, make([]byte, 64+2+len(ready)+3)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *publisher) write(b []byte) {
	if _, err := p.conn.Write(b); err != nil {
		p.t.Error(err)
	}
}

func frames(parts ...string) (b []byte) {
	for i, part := range parts {
		more := byte(0)
		if i < len(parts)-1 {
			more = flagMore
		}
		if len(part) < 256 {
			b = append(b, more, byte(len(part)))
		} else {
			b = binary.BigEndian.AppendUint64(append(b, more|flagLong), uint64(len(part)))
		}
		b = append(b, part...)
	}
	return b
}

// signed is a message as a kernel sends it.
func signed(key, kind, request, session, content string) []byte {
	list := []string{`{"msg_id":"x","msg_type":"` + kind + `"}`, `{"msg_id":"` + request + `","msg_type":"execute_request","session":"` + session + `"}`, "{}", content}
	mac := hmac.New(sha256.New, []byte(key))
	for _, part := range list {
		mac.Write([]byte(part))
	}
	return frames(append([]string{"kernel.iopub." + kind, "<IDS|MSG>", hex.EncodeToString(mac.Sum(nil))}, list...)...)
}

func (p *publisher) say(kind, request, content string) {
	p.write(signed(p.key, kind, request, "page-a", content))
}

func (p *publisher) prints(request, text string) {
	p.say("stream", request, fmt.Sprintf(`{"name":"stdout","text":%q}`, text))
}

func (p *publisher) begins(request, code string, count int) {
	p.say("execute_input", request, fmt.Sprintf(`{"code":%q,"execution_count":%d}`, code, count))
}

func (p *publisher) ends(request string) {
	p.say("status", request, `{"execution_state":"idle"}`)
}

// box is where the program runs: a folder, Jupyter's answers, one kernel.
type box struct {
	t       *testing.T
	work    string
	runtime string
	kernel  net.Listener

	mu       sync.Mutex
	attached int // as Jupyter counts
	pages    []string
	asks     io.Writer
	answers  io.Reader
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{t: t, work: t.TempDir(), runtime: filepath.Join(t.TempDir(), "runtime")}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		fmt.Fprintf(w, `[{"path":"a.ipynb","kernel":{"id":"k1","connections":%d}}]`, b.attached)
	}))
	t.Cleanup(web.Close)
	var err error
	if b.kernel, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.kernel.Close() })
	in, asks := io.Pipe()
	answers, out := io.Pipe()
	b.asks, b.answers = asks, answers
	done := make(chan error, 1)
	go func() {
		done <- Serve(t.Context(), Config{Work: b.work, Runtime: b.runtime, Jupyter: web.URL, Lang: "en"}, in, out)
	}()
	t.Cleanup(func() {
		_ = asks.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// attach says which pages there are, and how many more than masu knows of.
func (b *box) attach(more int, pages ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attached, b.pages = len(pages)+more, pages
}

// start is a kernel's beginning: Jupyter writes how it is reached.
func (b *box) start() *publisher {
	b.t.Helper()
	b.settle("a.ipynb") // Jupyter's folder is watched by then
	text := fmt.Sprintf(`{"transport":"tcp","ip":"127.0.0.1","iopub_port":%s,"key":"secret","signature_scheme":"hmac-sha256"}`, strings.TrimPrefix(b.kernel.Addr().String(), "127.0.0.1:"))
	if err := os.WriteFile(filepath.Join(b.runtime, "kernel-k1.json"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return accept(b.t, b.kernel, "secret")
}

func (b *box) settle(path string) {
	b.t.Helper()
	b.mu.Lock()
	line, err := json.Marshal(masu.Opening{Path: path, Pages: map[string][]string{"k1": b.pages}})
	b.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.asks.Write(append(line, '\n')); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.ReadFull(b.answers, make([]byte, 1)); err != nil {
		b.t.Fatal(err)
	}
}

// save is what a page does.
func (b *box) save(cells ...*notebook.Cell) {
	b.t.Helper()
	nb, err := notebook.Parse([]byte(`{"nbformat":4,"nbformat_minor":4,"metadata":{"ours":1},"cells":[]}`))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range cells {
		nb.Cells = append(nb.Cells, c)
	}
	text, err := nb.Bytes()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.work, "a.ipynb"), text, 0o640); err != nil {
		b.t.Fatal(err)
	}
}

// cell is one as it stands in a file.
func cell(t *testing.T, source, printed string, count int) *notebook.Cell {
	t.Helper()
	text, err := json.Marshal(map[string]any{"nbformat": 4, "cells": []any{map[string]any{"cell_type": "code", "source": source, "metadata": map[string]any{"mine": true}, "execution_count": count, "outputs": outputsOf(printed)}}})
	if err != nil {
		t.Fatal(err)
	}
	nb, err := notebook.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return nb.Cells[0]
}

func outputsOf(printed string) []any {
	if printed == "" {
		return []any{}
	}
	return []any{map[string]any{"output_type": "stream", "name": "stdout", "text": printed}}
}

// holds tells what the file's cells print.
func (b *box) holds() (all []string) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.work, "a.ipynb"))
	if err != nil {
		b.t.Fatal(err)
	}
	nb, err := notebook.Parse(text)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range nb.Cells {
		said := ""
		for _, o := range c.Outputs() {
			said += o.Text()
		}
		all = append(all, said)
	}
	return all
}

// until asks again and again: what a kernel says takes its time to arrive.
func (b *box) until(what string, ok func([]string) bool) {
	b.t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b.settle("a.ipynb")
		if ok(b.holds()) {
			return
		}
		if time.Now().After(until) {
			b.t.Fatalf("waited in vain until %s; the cells hold %q", what, b.holds())
		}
	}
}

// TestNight is a page that is closed while two cells are queued: another finds
// what there is, and a third all of it, although the second has saved meanwhile.
func TestNight(t *testing.T) {
	b := newBox(t)
	b.save(cell(t, "one", "", 0), cell(t, "two", "", 0), cell(t, "idle", "mine", 3))
	k := b.start()
	k.begins("1", "one", 4)
	k.prints("1", "a\n")
	b.until("the first cell's beginning is there, and a word that it goes on", func(s []string) bool {
		return strings.HasPrefix(s[0], "a\n… [masu: this cell is still running")
	})
	b.attach(0, "page-b") // and with it a page of its own
	k.prints("1", "b\n")
	k.ends("1")
	k.begins("2", "two", 5)
	k.say("display_data", "2", `{"data":{"text/plain":"old"},"metadata":{},"transient":{"display_id":"d"}}`)
	k.say("update_display_data", "2", `{"data":{"text/plain":"new"},"metadata":{},"transient":{"display_id":"d"}}`)
	k.say("error", "2", `{"ename":"E","evalue":"v","traceback":["tr"]}`)
	k.ends("2")
	b.save(cell(t, "one", "a\n", 4), cell(t, "two", "", 0), cell(t, "idle", "mine", 3)) // the second page knows no better
	b.attach(0, "page-c", "page-b")
	b.until("all is there", func(s []string) bool { return s[0] == "a\nb\n" && s[1] == "newtr" && s[2] == "mine" })
	fi, err := os.Stat(filepath.Join(b.work, "a.ipynb"))
	if err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v (%v)", fi.Mode(), err)
	}
	left, _ := filepath.Glob(filepath.Join(b.work, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestAttached: what the page that asked for it has before it is left to it; so is
// everything while a page is there that did not come through masu.
func TestAttached(t *testing.T) {
	b := newBox(t)
	b.save(cell(t, "one", "", 0))
	k := b.start()
	b.attach(0, "page-a")
	k.begins("1", "one", 1)
	k.prints("1", "a\n")
	k.ends("1")
	k.begins("2", "two", 2) // what comes now comes after all that
	b.attach(1)
	b.settle("a.ipynb")
	b.attach(0, "page-a", "page-b")
	b.settle("a.ipynb")
	if got := b.holds(); got[0] != "" {
		t.Errorf("it was written: %q", got)
	}
	b.attach(0, "page-b")
	b.until("its page has gone", func(s []string) bool { return s[0] == "a\n" })
	b.save(cell(t, "one", "", 0)) // its outputs are cleared
	b.settle("a.ipynb")
	if got := b.holds(); got[0] != "" {
		t.Errorf("what was cleared is back: %q", got)
	}
}

// TestKernelDies: what it printed until then is there, and that it died.
func TestKernelDies(t *testing.T) {
	b := newBox(t)
	b.save(cell(t, "one", "", 0))
	k := b.start()
	k.begins("1", "one", 1)
	k.prints("1", "a\n")
	_ = k.conn.Close()
	b.until("the death is told", func(s []string) bool { return s[0] == "a\nKernelDied" })
	k = accept(t, b.kernel, "secret") // Jupyter starts it again
	k.begins("2", "one", 1)
	k.prints("2", "again\n")
	k.ends("2")
	b.until("the new kernel's is there", func(s []string) bool { return s[0] == "again\n" })
}

// TestNoFile: what only looks like a notebook keeps nobody waiting.
func TestNoFile(t *testing.T) {
	b := newBox(t)
	b.save(cell(t, "one", "", 0))
	k := b.start()
	k.begins("1", "one", 1)
	k.prints("1", "a\n")
	k.ends("1")
	b.until("its outputs are there", func(s []string) bool { return s[0] == "a\n" })
	k.begins("2", "one", 2) // there is something to put there again
	k.prints("2", "b\n")
	k.ends("2")
	b.until("so are the next", func(s []string) bool { return s[0] == "b\n" })
	path := filepath.Join(b.work, "a.ipynb")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	b.settle("a.ipynb") // which waits for the answer
}

// TestStrangers: who has not the kernel's key says nothing.
func TestStrangers(t *testing.T) {
	b := newBox(t)
	b.save(cell(t, "one", "", 0))
	k := b.start()
	k.key = "guessed"
	k.begins("1", "one", 1)
	k.prints("1", "forged")
	k.key = "secret"
	k.begins("2", "one", 1)
	k.prints("2", "true")
	k.ends("2")
	b.until("the kernel's own is there", func(s []string) bool { return s[0] == "true" })
	b.settle("../a.ipynb")
	b.settle("/etc/passwd.ipynb")
}

// said is an execution of which a book has heard.
func said(b *book, request, session, code string, count int, text string, at time.Time) *execution {
	b.take(message{kind: "execute_input", parent: request, session: session, content: json.RawMessage(fmt.Sprintf(`{"code":%q,"execution_count":%d}`, code, count))}, at)
	b.take(message{kind: "stream", parent: request, content: json.RawMessage(fmt.Sprintf(`{"name":"stdout","text":%q}`, text))}, at)
	b.take(message{kind: "status", parent: request, content: json.RawMessage(`{"execution_state":"idle"}`)}, at)
	return b.find(request)
}

// TestWhoseTurn: what is put into a cell, and what is left as a page has saved it.
func TestWhoseTurn(t *testing.T) {
	end := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	before, after := end.Add(-time.Minute), end.Add(time.Minute)
	for _, c := range []struct {
		name     string
		source   string
		printed  string
		count    int
		saved    time.Time
		attached bool
		gone     time.Time
		want     bool
	}{
		{name: "nobody has saved it", source: "x", saved: before, want: true},
		{name: "part of it was saved", source: "x", printed: "lo", count: 1, saved: before, want: true},
		{name: "a page has it and will save it", source: "x", saved: before, attached: true},
		{name: "a page has saved it", source: "x", printed: "long", count: 1, saved: after},
		{name: "somebody has cleared it", source: "x", saved: after},
		{name: "a page has saved it with a hole", source: "x", printed: "lg", count: 1, saved: after, want: true},
		{name: "it ran again elsewhere", source: "x", printed: "lg", count: 9, saved: after},
		{name: "it is another cell now", source: "y", saved: before},
		{name: "its page had gone, and another has saved", source: "x", printed: "lo", count: 1, saved: after, gone: before, want: true},
	} {
		b := newBook()
		said(b, "1", "a", "x", 1, "long", end)
		if !c.gone.IsZero() {
			b.gone["a"] = c.gone
		}
		nb := &notebook.Notebook{Cells: []*notebook.Cell{cell(t, c.source, c.printed, c.count)}}
		filled, err := b.fill(nb, c.saved, func(string) bool { return c.attached }, "en")
		if err != nil || (len(filled) == 1) != c.want {
			t.Errorf("%s: %d cells are filled (%v)", c.name, len(filled), err)
		}
		if got := nb.Cells[0].Outputs(); c.want && (len(got) != 1 || got[0].Text() != "long" || nb.Cells[0].Count() != 1) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestMatch: cells of one text are told apart, or else left alone.
func TestMatch(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		cells  []string
		counts []int
		ran    []string
		want   string // per cell, the execution that is its
	}{
		{"one", []string{"a", "b"}, nil, []string{"b", "a"}, "21"},
		{"again", []string{"a"}, nil, []string{"a", "a"}, "2"},
		{"in order", []string{"f", "a", "f", "b", "f"}, nil, []string{"a", "f", "b", "f"}, " 1234"},
		{"nothing to go by", []string{"f", "f"}, nil, []string{"f"}, "  "},
		{"by number", []string{"f", "f"}, []int{7, 1}, []string{"f"}, " 1"},
	} {
		b := newBook()
		for i, code := range c.ran {
			said(b, strconv.Itoa(i+1), "s", code, i+1, "", now)
		}
		nb := &notebook.Notebook{}
		for i, code := range c.cells {
			count := 0
			if c.counts != nil {
				count = c.counts[i]
			}
			nb.Cells = append(nb.Cells, cell(t, code, "", count))
		}
		all, got := b.match(nb), ""
		for _, x := range nb.Cells {
			if e := all[x]; e != nil {
				got += e.id
			} else {
				got += " "
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestBounds: a cell that prints without end is cut, a progress bar is not, and all together stay in bounds.
func TestBounds(t *testing.T) {
	now, b := time.Now(), newBook()
	e := said(b, "1", "s", "flood", 1, "", now)
	big := strings.Repeat("0123456789abcde\n", 1<<16)
	content := json.RawMessage(fmt.Sprintf(`{"name":"stdout","text":%q}`, big))
	for range 18 {
		b.take(message{kind: "stream", parent: "1", content: content}, now)
	}
	if raw, err := e.cell.Written(e.note("en")); err != nil || !e.cut || len(raw) > 3*cellMost || !strings.Contains(string(raw), "cut here") {
		t.Errorf("the flood: cut %v, %d bytes (%v)", e.cut, len(raw), err)
	}
	bar := said(b, "2", "s", "bar", 2, "", now)
	for range 18 {
		b.take(message{kind: "clear_output", parent: "2", content: json.RawMessage(`{"wait":true}`)}, now)
		b.take(message{kind: "stream", parent: "2", content: content}, now)
	}
	if bar.cut {
		t.Error("what was cleared counts")
	}
	for i := range runsMost + 10 {
		said(b, "r"+strconv.Itoa(i), "s", "c", i, "", now)
	}
	if len(b.runs) != runsMost {
		t.Errorf("%d executions are kept", len(b.runs))
	}
	for i := range 5 {
		said(b, "big"+strconv.Itoa(i), "s", "c", i, big, now)
	}
	if w := b.weight(); b.shrink(w) < w || b.weight() != 0 || len(b.runs) != 0 {
		t.Errorf("after shrinking %d of %d are left", b.weight(), w)
	}
}

func TestRuntimeDir(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"/r":                              {"JUPYTER_RUNTIME_DIR": "/r", "JUPYTER_DATA_DIR": "/d", "HOME": "/h"},
		"/d/runtime":                      {"JUPYTER_DATA_DIR": "/d", "XDG_DATA_HOME": "/x", "HOME": "/h"},
		"/x/jupyter/runtime":              {"XDG_DATA_HOME": "/x", "HOME": "/h"},
		"/h/.local/share/jupyter/runtime": {"HOME": "/h"},
	} {
		if got := RuntimeDir(func(name string) string { return env[name] }); got != want {
			t.Errorf("%v: %s, want %s", env, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	book := newBook()
	said(book, "1", "s", "x", 1, "", time.Now())
	m := message{kind: "stream", parent: "1", content: json.RawMessage(`{"name":"stdout","text":"step 1 of 1000: loss 0.125\r"}`)}
	for b.Loop() {
		book.take(m, time.Now())
	}
}
