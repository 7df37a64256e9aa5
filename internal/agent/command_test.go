package agent

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	long := strings.Repeat("x", mostCommand)
	for _, c := range []struct{ argv, at, want string }{
		{"python3\x00-m\x00http.server\x008501\x00", "/home/alice/work", "python3 -m http.server 8501"},
		{"streamlit\x00run\x00my app.py\x00", "/home/alice/work/demo", "cd demo && streamlit run 'my app.py'"},
		{"./serve\x00--title=it's\x00\x00", "/srv/x y", "cd '/srv/x y' && ./serve '--title=it'\\''s' ''"},
		{"node\x00$(id);`id`\x00", "/home/alice", "cd /home/alice && node '$(id);`id`'"},
		{"nginx: master process", "/home/alice/work", "'nginx: master process'"},
		{"one\x00" + "two\nlines\x00", "/home/alice/work", ""},
		{"one\x00\xff\x00", "/home/alice/work", ""},
		{long + "\x00", "/home/alice/work", ""},
		{"", "/home/alice/work", ""},
		{"a\x00", "", "a"},
	} {
		if got := commandLine(c.argv, c.at, "/home/alice/work"); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.argv, c.at, got, c.want)
		}
	}
}

// TestCommandAt finds this test itself, by a socket of its own.
func TestCommandAt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if got := commandAt(port, os.Geteuid(), "/"); !strings.Contains(got, shellWord(os.Args[0])) {
		t.Errorf("the command is %q", got)
	}
	if got := commandAt(port, os.Geteuid()+1, "/"); got != "" {
		t.Errorf("of somebody else's program it is told %q", got)
	}
}

func FuzzCommandLine(f *testing.F) {
	f.Add("python3\x00-m\x00http.server\x00", "/home/alice/work")
	f.Add("it's\x00$(id)\x00", "/")
	f.Fuzz(func(t *testing.T, argv, at string) {
		if got := commandLine(argv, at, "/home/alice/work"); len(got) > mostCommand || strings.ContainsAny(got, "\x00\n\r") {
			t.Errorf("%q", got)
		}
	})
}
