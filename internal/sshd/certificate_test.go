package sshd

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// certificate is alice's, of a key that nobody knows otherwise, unless it is changed.
func certificate(t *testing.T, ca, of ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	c := &ssh.Certificate{Key: of.PublicKey(), Serial: 7, CertType: ssh.UserCert, KeyId: "alice@lab", ValidPrincipals: []string{"alice"},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": ""}}}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, of)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCertificates: what the lab's authority has signed lets in whom it names, in its bounds, and nothing else does.
func TestCertificates(t *testing.T) {
	ca, other := newSigner(t), newSigner(t)
	list := filepath.Join(t.TempDir(), "revoked")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	d := newDesk(t, func(c *Config) { c.Trust = Trust{CAs: []ssh.PublicKey{ca.PublicKey()}, Revoked: RevokedFile(list)} })
	d.up("alice", "thesis", true)
	laptop := newSigner(t)
	for _, x := range []struct {
		what   string
		in     bool
		ca     ssh.Signer
		change func(*ssh.Certificate)
	}{
		{"hers", true, ca, nil},
		{"another authority's", false, other, nil},
		{"a host's", false, ca, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }},
		{"everybody's", false, ca, func(c *ssh.Certificate) { c.ValidPrincipals = nil }},
		{"nobody's", false, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"mallory"} }},
		{"expired", false, ca, func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()) }},
		{"not yet valid", false, ca, func(c *ssh.Certificate) { c.ValidAfter = uint64(time.Now().Add(time.Minute).Unix()) }},
		{"for good", true, ca, func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }},
		{"force-command", false, ca, func(c *ssh.Certificate) { c.CriticalOptions["force-command"] = "id" }},
		{"verify-required", false, ca, func(c *ssh.Certificate) { c.CriticalOptions["verify-required"] = "" }},
		{"from here", true, ca, func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "10.0.0.0/8,127.0.0.1/32" }},
		{"from elsewhere", false, ca, func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "10.0.0.0/8" }},
		{"from nonsense", false, ca, func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "127.*" }},
	} {
		d.key["laptop"] = certificate(t, x.ca, laptop, x.change)
		c, err := ssh.Dial("tcp", d.addr, d.config("laptop", "thesis"))
		if (err == nil) != x.in {
			t.Errorf("%s: %v", x.what, err)
		}
		if err == nil {
			if code, _, said := d.run(c, "true", ""); code != 0 {
				t.Errorf("%s: %d, %q", x.what, code, said)
			}
			_ = c.Close()
		}
	}
	for _, line := range []string{
		"serial: 7", "id: alice@lab", "sha256: " + ssh.FingerprintSHA256(laptop.PublicKey()), string(ssh.MarshalAuthorizedKey(laptop.PublicKey())),
		"key: " + string(ssh.MarshalAuthorizedKey(ca.PublicKey())), "serial: seven",
	} {
		write("# lost\n")
		d.key["laptop"] = certificate(t, ca, laptop, nil)
		c := d.dial("laptop", "thesis")
		write("# lost\n" + line + "\n")
		if _, err := ssh.Dial("tcp", d.addr, d.config("laptop", "thesis")); err == nil {
			t.Errorf("%q: somebody came in", line)
		}
		if line == "serial: 7" { // and who is there already is sent away
			begun := time.Now()
			_ = c.Wait()
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("%q: it took %v", line, took)
			}
		}
		_ = c.Close()
	}
	_ = os.Remove(list)
	if _, err := ssh.Dial("tcp", d.addr, d.config("alice", "thesis")); err == nil {
		t.Error("somebody came in while the list could not be read")
	}
}

// TestCertificateLimits: what a certificate does not permit is not permitted.
func TestCertificateLimits(t *testing.T) {
	ca, laptop := newSigner(t), newSigner(t)
	d := newDesk(t, func(c *Config) { c.Trust.CAs, c.AgentForwarding = []ssh.PublicKey{ca.PublicKey()}, true })
	d.up("alice", "thesis", true)
	d.key["laptop"] = certificate(t, ca, laptop, func(c *ssh.Certificate) { c.Extensions = nil })
	c := d.dial("laptop", "thesis")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal")
	}
	if ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); ok || err != nil {
		t.Errorf("the agent: %t, %v", ok, err)
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("a port")
	}
	if _, err := c.Dial("tcp", "localhost:7"); err == nil {
		t.Error("a port there")
	}
}

func FuzzReadRevoked(f *testing.F) {
	for _, s := range []string{"serial: 1", "id: x", "sha256: SHA256:3Q+pJvkNReFVPpFLzKGBhLBcDy6MYx6ALNrmV8emr0o", key, "key: " + key, "SSHKRL\n\x00", "#"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ReadRevoked(text); (r == nil) != (err != nil) {
			t.Fatal(r, err)
		}
		if all, err := ReadCAs(text); (len(all) == 0) != (err != nil) {
			t.Fatal(all, err)
		}
	})
}
