package remote

import (
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		said string
		want Server
	}{
		{"ssh://gpu", Server{Host: "gpu"}},
		{"ssh://gpu/", Server{Host: "gpu"}},
		{"ssh://alice@gpu.lab.example:2222", Server{User: "alice", Host: "gpu.lab.example", Port: 2222}},
		{"ssh://alice@uni.example@gpu", Server{User: "alice@uni.example", Host: "gpu"}},
		{"ssh://192.0.2.7:22", Server{Host: "192.0.2.7", Port: 22}},
		{"ssh://alice@[2001:db8::7]:2222", Server{User: "alice", Host: "2001:db8::7", Port: 2222}},
		{"ssh://[2001:db8::7]", Server{Host: "2001:db8::7"}},
	} {
		got, err := Parse(c.said)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.said, got, err)
		}
	}
	for _, said := range []string{
		"", "gpu", "ssh://", "ssh:gpu", "http://gpu", "ssh://-oProxyCommand=touch%20/tmp/p", "ssh://-oProxyCommand=id@gpu", "ssh://a@-oProxyCommand=id",
		"ssh://gpu:", "ssh://gpu:0", "ssh://gpu:65536", "ssh://gpu:-1", "ssh://gpu:22x", "ssh://gpu/path", "ssh://gpu?x", "ssh://gpu#x", "ssh://gpu name",
		"ssh://gpu\n", "ssh://gpu\x00", "ssh://$(id)", "ssh://`id`@gpu", "ssh://a;id@gpu", "ssh://@gpu", "ssh://a@", "ssh://a:pw@gpu",
		"ssh://[gpu]", "ssh://[2001:db8::7", "ssh://[2001:db8::7]22", "ssh://[fe80::1%eth0]", "ssh://[192.0.2.7]", "ssh://" + strings.Repeat("x", 300),
	} {
		if s, err := Parse(said); masu.CodeOf(err) != "server_wrong" {
			t.Errorf("%q is taken for %+v, %v", said, s, err)
		}
	}
}

// FuzzParse: whatever is said, no part of it can become an option of ssh or be
// read by a shell, and an address that is taken survives being written down.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"ssh://gpu", "ssh://alice@gpu:22", "ssh://[::1]:22", "ssh://-oProxyCommand=id", "ssh://a@b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		s, err := Parse(said)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || again != s {
			t.Errorf("%q → %+v → %q → %+v, %v", said, s, s, again, err)
		}
		args := s.args()
		end := slices.Index(args, "--")
		if end != len(args)-2 || strings.HasPrefix(s.Host, "-") || strings.HasPrefix(s.User, "-") || strings.ContainsAny(s.Host+s.User, " \t\r\n\x00'\"`$;&|<>()\\%*?{}!#~") {
			t.Errorf("%q makes %q", said, args)
		}
	})
}
