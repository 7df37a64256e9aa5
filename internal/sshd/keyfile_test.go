package sshd

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGCxjg/a6b77iZceAYXyDNoLLmbpXyBtUNqcF6PMN1GL"

func TestReadKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dss := "ssh-dss AAAAB3NzaC1kc3MAAACBAIplC8gsyJX9qXqpS0GvBRyVHXpXnPvwdPLkLhGnUdtMkOPqY9DF3"
	for _, c := range []struct {
		line string
		why  string // "" for a line that is taken
	}{
		{key, ""}, {key + " alice@laptop", ""}, {"\t" + key + "\r", ""}, {"restrict,pty " + key, ""}, {`from="10.0.0.0/8,!10.0.0.1,192.168.?.*" ` + key, ""},
		{`no-touch-required,no-X11-forwarding,expiry-time="20300101" ` + key, ""},
		{`command="rsync --server" ` + key, "command="}, {`environment="LD_PRELOAD=/x" ` + key, "environment="}, {`tunnel="1" ` + key, "tunnel="},
		{"cert-authority " + key, "cert-authority"}, {`principals="a" ` + key, "principals="}, {`permitopen="h:1" ` + key, "permitopen="},
		{"verify-required " + key, "verify-required"}, {"whatever " + key, "whatever"},
		{`from="" ` + key, "from="}, {`from="10.0.0.1,$(id)" ` + key, "from="}, {`from=10.0.0.1 ` + key, "quotes"}, {`expiry-time="tomorrow" ` + key, "expiry-time="},
		{string(ssh.MarshalAuthorizedKey(weak)), "key_weak"}, {dss, "no key"}, {"ssh-ed25519", "no key"}, {"ssh-ed25519 AAAA", "no key"}, {"x" + key, "no key"}, {key[:40] + "\x00" + key[40:], "no key"},
	} {
		keys, refused := ReadKeys([]byte("# mine\n\n" + c.line + "\n" + key + " after\n"))
		switch {
		case len(keys) == 0 || keys[len(keys)-1].Name != "after":
			t.Errorf("%q spoils what follows: %v", c.line, refused)
		case c.why == "" && (len(keys) != 2 || keys[0].Key != key || len(refused) > 0):
			t.Errorf("%q: %+v, %v", c.line, keys, refused)
		case c.why != "" && (len(keys) != 1 || len(refused) != 1 || !strings.Contains(refused[0].Error(), c.why) || !strings.Contains(refused[0].Error(), "line 3")):
			t.Errorf("%q: %+v, %v", c.line, keys, refused)
		}
	}
	if keys, refused := ReadKeys(bytes.Repeat([]byte(key+"\n"), 20000)); len(keys) != keyLinesMost || len(refused) != 1 {
		t.Errorf("of 20000 lines %d were read, %v", len(keys), refused)
	}
}

func TestKeyLimits(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		options, from string
		want          bool
	}{
		{"", "10.1.2.3", true}, {`from="10.0.0.0/8"`, "10.1.2.3", true}, {`from="10.0.0.0/8"`, "::ffff:10.1.2.3", true}, {`from="10.0.0.0/8"`, "11.1.2.3", false},
		{`from="10.*,!10.1.2.3"`, "10.1.2.3", false}, {`from="10.*,!10.1.2.3"`, "10.1.2.4", true}, {`from="!10.1.2.3"`, "10.1.2.4", false},
		{`from="fd00::/8"`, "fd00::1", true}, {`from="*.example.ac.jp"`, "10.1.2.3", false},
		{`expiry-time="20000101"`, "10.1.2.3", false}, {`expiry-time="209901010000Z"`, "10.1.2.3", true}, {`expiry-time="20990101",expiry-time="20000101"`, "10.1.2.3", false},
	} {
		keys, refused := ReadKeys([]byte(strings.TrimSpace(c.options+" "+key) + "\n"))
		if len(keys) != 1 {
			t.Fatalf("%q: %v", c.options, refused)
		}
		if got := keys[0].Limits.Allow(netip.MustParseAddr(c.from), now); got != c.want {
			t.Errorf("%s from %s: %t", c.options, c.from, got)
		}
	}
	keys, _ := ReadKeys([]byte("restrict,pty " + key + "\nno-pty " + key))
	if len(keys) != 2 || keys[0].Limits.NoPTY || !keys[0].Limits.NoForward || !keys[1].Limits.NoPTY || keys[1].Limits.NoForward {
		t.Errorf("%+v", keys)
	}
	if (masu.KeyLimits{From: []string{"*"}}).Allow(netip.Addr{}, now) {
		t.Error("from nowhere")
	}
}

func FuzzReadKeys(f *testing.F) {
	for _, s := range []string{key, "restrict " + key, `command="a \" b",from="1.*" ` + key, "\"", "a=\"", "# x\n" + key + "\r\n", "ssh-rsa AAAAB3NzaC1yc2E="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, refused := ReadKeys(text)
		if n := bytes.Count(text, []byte("\n")) + 1; len(keys)+len(refused) > n {
			t.Fatalf("%d lines make %d keys", n, len(keys))
		}
		for _, k := range keys {
			again, refused := ReadKeys([]byte(k.Key))
			if len(again) != 1 || len(refused) > 0 || again[0].Fingerprint != k.Fingerprint {
				t.Fatalf("%+v is read back as %+v, %v", k, again, refused)
			}
			pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Key))
			if err != nil || strong(pub) != nil {
				t.Fatalf("%q: %v", k.Key, err)
			}
		}
	})
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
