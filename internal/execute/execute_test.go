package execute

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kernel"
)

// jupyter is as much of a Jupyter server as a notebook needs. Its kernel's
// language is a script in the cell: each line is a kind of message and its content.
type jupyter struct {
	*httptest.Server
	asked struct { // of the session
		Path, Type string
		Kernel     struct{ Name string }
	}
	mu          sync.Mutex
	interrupted chan struct{}
	closed      bool
}

func startFake(t *testing.T) *jupyter {
	j := &jupyter{interrupted: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/kernelspecs", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"default":"python3","kernelspecs":{"python3":{"spec":{"language":"python"}},"ir":{"spec":{"language":"R"}}}}`)
	})
	mux.HandleFunc("POST /api/sessions", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&j.asked)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"s","kernel":{"id":"k"}}`)
	})
	mux.HandleFunc("DELETE /api/sessions/s", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /api/kernels/k/interrupt", func(w http.ResponseWriter, r *http.Request) { close(j.interrupted) })
	mux.HandleFunc("GET /api/kernels/k/channels", j.channels)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {})
	j.Server = httptest.NewServer(mux)
	t.Cleanup(j.Server.Close)
	return j
}

func (j *jupyter) Client() *kernel.Client {
	jar, _ := cookiejar.New(nil)
	return &kernel.Client{HTTP: &http.Client{Jar: jar}, Base: j.URL}
}

func (j *jupyter) Close() error {
	j.closed = true
	return nil
}

func (j *jupyter) channels(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := r.Context()
	for count := 1; ; count++ {
		var m struct {
			Header  map[string]any
			Content struct{ Code string }
		}
		if wsjson.Read(ctx, ws, &m) != nil {
			return
		}
		say := func(kind string, content any) {
			_ = wsjson.Write(ctx, ws, map[string]any{"header": map[string]any{"msg_type": kind}, "parent_header": m.Header, "content": content})
		}
		say("execute_input", map[string]any{"execution_count": count})
		status := "ok"
		for line := range strings.Lines(m.Content.Code) {
			kind, content, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch kind {
			case "hang":
				<-j.interrupted
				kind, content = "error", `{"ename":"KeyboardInterrupt","evalue":"","traceback":["KeyboardInterrupt"]}`
			case "die":
				kind, content = "status", `{"execution_state":"restarting"}`
			}
			if kind == "error" {
				status = "error"
			}
			say(kind, json.RawMessage(content))
		}
		say("execute_reply", map[string]any{"status": status, "execution_count": count, "ename": "E", "evalue": "v"})
		say("status", map[string]any{"execution_state": "idle"})
	}
}

const boom = `error {"ename":"E","evalue":"v","traceback":["E: v"]}`

func print(s string) string { return `stream {"name":"stdout","text":"` + s + `"}` }

// write makes a notebook of cells, the second of which may have tags.
func write(t *testing.T, meta string, tags string, cells ...string) string {
	t.Helper()
	var list []string
	for i, c := range cells {
		source, _ := json.Marshal(c)
		tag := ""
		if i == 1 {
			tag = tags
		}
		list = append(list, fmt.Sprintf(`{"cell_type":"code","source":%s,"metadata":{"tags":[%s]},"outputs":[{"output_type":"stream","name":"stdout","text":"old"}],"execution_count":9}`, source, tag))
	}
	path := filepath.Join(t.TempDir(), "in.ipynb")
	if err := os.WriteFile(path, []byte(`{"nbformat":4,"nbformat_minor":4,"metadata":`+meta+`,"cells":[`+strings.Join(list, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// executed runs a notebook, and gives what is in the other one then.
func executed(ctx context.Context, t *testing.T, in string, parameters ...string) (j *jupyter, text, printed string, err error) {
	t.Helper()
	j = startFake(t)
	out := filepath.Join(filepath.Dir(in), "out.ipynb")
	before, _ := os.ReadFile(in)
	var log strings.Builder
	err = Job{In: in, Out: out, Parameters: parameters, Print: &log, Say: func(code string, args ...any) { fmt.Fprintln(&log, append([]any{code}, args...)...) },
		Server: func(_ context.Context, _ string) (Jupyter, error) {
			if _, err := os.Stat(out); err != nil {
				t.Errorf("nothing can be looked at before the server is there: %v", err)
			}
			return j, nil
		}}.Run(ctx)
	b, _ := os.ReadFile(out)
	if after, _ := os.ReadFile(in); string(after) != string(before) {
		t.Error("the notebook itself was changed")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(in), ".*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	return j, string(b), log.String(), err
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, meta, tags string
		cells            []string
		parameters       []string
		has              []string // in the notebook
		hasNot           []string
		prints           string
		code             string
		kernel           string
	}{
		{name: "every cell, in order", meta: `{"kernelspec":{"name":"ir"}}`, cells: []string{print("one"), "", print(`two\n`)}, kernel: "ir",
			has: []string{`"one"`, `"two\n"`, `"execution_count": 2`, "iopub.status.idle"}, hasNot: []string{"old"}, prints: "notebook_cell 1 2\none\nnotebook_cell 2 2\ntwo\n"},
		{name: "one that raises ends it", meta: `{}`, cells: []string{print("one"), boom, print("never")}, code: "cell_failed", kernel: "python3",
			has: []string{`"one"`, `"ename": "E"`}, hasNot: []string{`"never"` + "\n     ]", "old"}, prints: "notebook_cell 1 3\none\nnotebook_cell 2 3\nE: v\n"},
		{name: "one that may raise", meta: `{}`, tags: `"raises-exception"`, cells: []string{print("one"), boom, print(`two\n`)}, kernel: "python3",
			has: []string{`"ename": "E"`, `"two\n"`}, prints: "notebook_cell 1 3\none\nnotebook_cell 2 3\nE: v\nnotebook_cell 3 3\ntwo\n"},
		{name: "one that is to be skipped", meta: `{}`, tags: `"skip-execution"`, cells: []string{print(`one\n`), boom}, kernel: "python3", prints: "notebook_cell 1 1\none\n"},
		{name: "a kernel that dies", meta: `{}`, cells: []string{print(`one\n`) + "\ndie {}"}, code: "kernel_died", kernel: "python3", has: []string{`"one\n"`, `"ename": "KernelDied"`}, prints: "notebook_cell 1 1\none\n"},
		{name: "another's kernel", meta: `{"kernelspec":{"name":"conda-env","language":"python"}}`, cells: []string{print(`one\n`)}, kernel: "python3", prints: "notebook_other_kernel conda-env python3\nnotebook_cell 1 1\none\n"},
		{name: "a language that is not there", meta: `{"kernelspec":{"name":"ijulia","language":"julia"}}`, cells: []string{print("one")}, code: "no_kernel"},
		{name: "parameters", meta: `{}`, cells: []string{print(`one\n`)}, parameters: []string{"lr=0.5"}, kernel: "python3", has: []string{`"lr = 0.5\n"`, "injected-parameters"}, prints: "notebook_cell 1 2\nnotebook_cell 2 2\none\n"},
		{name: "parameters for another language", meta: `{"kernelspec":{"name":"ir","language":"R"}}`, cells: []string{"x"}, parameters: []string{"lr=0.5"}, code: "parameters_language"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, text, printed, err := executed(t.Context(), t, write(t, c.meta, c.tags, c.cells...), c.parameters...)
			if c.code == "" && err != nil || c.code != "" && (err == nil || masu.CodeOf(err) != c.code) {
				t.Errorf("error %v, want %q", err, c.code)
			}
			for _, s := range c.has {
				if !strings.Contains(text, s) {
					t.Errorf("%s is not in %s", s, text)
				}
			}
			for _, s := range c.hasNot {
				if strings.Contains(text, s) {
					t.Errorf("%s is in %s", s, text)
				}
			}
			if c.prints != "" && printed != c.prints {
				t.Errorf("it printed %q, want %q", printed, c.prints)
			}
			if j.asked.Kernel.Name != c.kernel || c.kernel != "" && (j.asked.Path != "in.ipynb" || j.asked.Type != "notebook" || !j.closed) {
				t.Errorf("it asked for %+v; closed: %t", j.asked, j.closed)
			}
		})
	}
}

// TestRunCancelled: the cell that runs is interrupted, and what was there is kept.
func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := write(t, `{}`, "", print(`one\n`)+"\nhang {}", print("never"))
	go func() {
		for { // once it can be looked at, while it runs
			if b, _ := os.ReadFile(filepath.Join(filepath.Dir(in), "out.ipynb")); strings.Contains(string(b), `"one\n"`) {
				cancel()
				return
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	_, text, _, err := executed(ctx, t, in)
	if err != context.Canceled {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(text, `"one\n"`) || !strings.Contains(text, "KeyboardInterrupt") || strings.Contains(text, "Cancelled") {
		t.Errorf("what is kept: %s", text)
	}
}

func TestRunRefuses(t *testing.T) {
	in := write(t, `{}`, "", "x")
	large := filepath.Join(t.TempDir(), "large.ipynb")
	odd := filepath.Join(t.TempDir(), "odd.ipynb")
	if err := os.WriteFile(large, make([]byte, int(masu.NotebookMost)+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(odd, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, out, code string }{
		{in, in, "notebook_same"}, {filepath.Join(t.TempDir(), "none.ipynb"), "x.ipynb", "notebook_missing"}, {large, "x.ipynb", "notebook_large"}, {odd, "x.ipynb", "notebook_wrong"},
		{in, filepath.Join(t.TempDir(), "no", "such", "folder.ipynb"), "notebook_not_written"},
	} {
		err := Job{In: c.in, Out: c.out, Print: os.Stderr, Server: func(context.Context, string) (Jupyter, error) {
			t.Error("a server was started")
			return nil, context.Canceled
		}}.Run(t.Context())
		if err == nil || masu.CodeOf(err) != c.code {
			t.Errorf("%s to %s: %v, want %s", c.in, c.out, err, c.code)
		}
	}
}
