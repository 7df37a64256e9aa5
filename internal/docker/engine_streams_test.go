package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestEngineStreams: what a command reads and writes does not pass through the
// engine, comes whole, and ends when the command does.
func TestEngineStreams(t *testing.T) {
	rt := openEngine(t, nil)
	b := testBox(t, rt)
	c := mustStart(t, rt, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := func(script string, stdin io.Reader) string {
		t.Helper()
		var out bytes.Buffer
		if code, err := rt.Exec(ctx, b.ID, masu.Exec{Argv: []string{"sh", "-c", script}, Stdin: stdin, Stdout: &out}); err != nil || code != 0 {
			t.Errorf("%s: %d, %v", script, code, err)
		}
		return out.String()
	}

	// Both ends of a pipe have the same name in /proc: this process has the other ones.
	var ours []string
	in, hold := io.Pipe()
	defer hold.Close()
	names, say := io.Pipe()
	go func() {
		_, err := rt.Exec(ctx, b.ID, masu.Exec{Argv: []string{"sh", "-c", "readlink /proc/$$/fd/0 /proc/$$/fd/1; echo; read word"}, Stdin: in, Stdout: say})
		_ = say.CloseWithError(err)
	}()
	var got []byte
	for one := make([]byte, 1); !bytes.HasSuffix(got, []byte("\n\n")); got = append(got, one...) {
		if _, err := io.ReadFull(names, one); err != nil {
			t.Fatalf("it said %q: %v", got, err)
		}
	}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		to, _ := os.Readlink(l) // a file may have been closed since
		ours = append(ours, to)
	}
	for _, name := range strings.Fields(string(got)) {
		if !strings.HasPrefix(name, "pipe:") || !strings.Contains(strings.Join(ours, " "), name) {
			t.Errorf("%s is not masu's: %v", name, ours)
		}
	}
	_, _ = io.WriteString(hold, "word\n")
	_, _ = io.Copy(io.Discard, names)

	file := make([]byte, 16<<20)
	_, _ = rand.Read(file)
	if back := run("cat", bytes.NewReader(file)); back != string(file) {
		t.Errorf("%d of %d bytes came back, or others", len(back), len(file))
	}
	if out := run("exec 2>&-; sleep 1; echo late", nil); out != "late\n" {
		t.Errorf("after the engine's part has ended: %q", out)
	}
	if out := run("sleep 1000 & exec 2>&-; echo here", nil); out != "here\n" {
		t.Errorf("beside what goes on: %q", out)
	}
	if out := run("head -c 3 <&0; exec 0<&-; echo", strings.NewReader("and more")); out != "and\n" {
		t.Errorf("of a part of the input: %q", out)
	}
	rt.astray[c.ID] = true
	if back := run("cat", strings.NewReader("by the engine")); back != "by the engine" {
		t.Errorf("a box that does not take its streams: %q", back)
	}
}
