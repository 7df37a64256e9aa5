package remote

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func TestGreeting(t *testing.T) {
	denied := masu.E(masu.Denied, "socket_denied", "/run/masu/masu.sock")
	for name, c := range map[string]struct {
		before string
		err    error
		code   string
	}{
		"a daemon":           {"", nil, ""},
		"a talkative shell":  {"Welcome!\nYou have mail.\n", nil, ""},
		"a prompt before it": {"motd without end", nil, ""},
		"no daemon":          {"", denied, "socket_denied"},
		"another failure":    {"", errors.New("odd"), "internal"},
	} {
		var b bytes.Buffer
		b.WriteString(c.before)
		if err := Greet(&b, "/run/masu/masu.sock", c.err); err != nil {
			t.Fatal(err)
		}
		b.WriteString("HTTP/1.1")
		socket, err := awaitGreeting(&b)
		if err == nil && socket != "/run/masu/masu.sock" {
			t.Errorf("%s: the daemon is at %q", name, socket)
		}
		if masu.CodeOf(err) != c.code && (err != nil || c.code != "") {
			t.Errorf("%s: %v", name, err)
		}
		if b.String() != "HTTP/1.1" {
			t.Errorf("%s: %q is left for the daemon", name, b.String())
		}
	}
	if e, ok := errors.AsType[*masu.Error](understood(`{"kind":"denied","code":"socket_denied","args":["/run"]}`)); !ok || e.Kind != masu.Denied || e.Args[0] != "/run" {
		t.Errorf("an error arrives as %+v", e)
	}
	for name, r := range map[string]io.Reader{
		"nothing": strings.NewReader(""), "half a word": strings.NewReader(greeting + "o"), "nonsense": strings.NewReader(greeting + "{\n"),
		"noise without end": strings.NewReader(strings.Repeat("x", 2*maxNoise) + "\n" + greeting + "ok\n"),
	} {
		if _, err := awaitGreeting(r); !errors.Is(err, errSilent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte(greeting + "ok\n"))
	f.Add([]byte(socketWord + "/run/x:y\n" + greeting + "ok\n"))
	f.Add([]byte("hello\n" + greeting + `{"kind":"denied","code":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		socket, err := awaitGreeting(bytes.NewReader(b))
		if socket != "" && !plainPath(socket) {
			t.Errorf("%q is taken for a socket", socket)
		}
		if err == nil && !bytes.Contains(b, []byte(greeting+"ok\n")) {
			t.Errorf("%q is taken for a daemon", b)
		}
	})
}
