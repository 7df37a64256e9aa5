package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

// Trust is what an admin has said about keys and certificates.
type Trust struct {
	CAs     []ssh.PublicKey          // whose certificates say who somebody is
	Revoked func() (*Revoked, error) // as of now; nil where nothing is
}

// ReadCAs reads the public keys of certificate authorities, a line each.
func ReadCAs(text []byte) (all []ssh.PublicKey, err error) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		k, _, options, rest, err := ssh.ParseAuthorizedKey(line)
		if err == nil {
			err = strong(k)
		}
		if err != nil || len(options) > 0 || len(rest) > 0 {
			return nil, fmt.Errorf("%.40q is no strong public key", line)
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no public key in it")
	}
	return all, nil
}

// offered is what somebody has at the door: a key, and perhaps what an authority says of it.
type offered struct {
	fingerprint string
	principals  []masu.Username // of a certificate; the key itself says nothing then
	limits      masu.KeyLimits
}

// read understands a key. fresh asks that a certificate be valid now: whoever
// came in while it was may stay, as with sshd.
func (t Trust) read(k ssh.PublicKey, fresh bool) (offered, error) {
	cert, is := k.(*ssh.Certificate)
	if !is {
		if err := errors.Join(strong(k), t.revoked(k, nil)); err != nil {
			return offered{}, err
		}
		return offered{fingerprint: ssh.FingerprintSHA256(k)}, nil
	}
	if err := errors.Join(strong(cert.Key), t.revoked(cert.Key, cert)); err != nil {
		return offered{}, err
	}
	if err := t.signed(cert, fresh); err != nil {
		return offered{}, fmt.Errorf("certificate %q of %s: %w", cert.KeyId, ssh.FingerprintSHA256(cert.SignatureKey), err)
	}
	o := offered{fingerprint: ssh.FingerprintSHA256(cert.Key)}
	for _, p := range cert.ValidPrincipals {
		o.principals = append(o.principals, masu.Username(p))
	}
	var err error
	o.limits, err = permitted(cert)
	return o, err
}

// signed tells whether a certificate is one of ours. One without principals
// would be everybody's, and is nobody's.
func (t Trust) signed(c *ssh.Certificate, fresh bool) error {
	ours := slices.ContainsFunc(t.CAs, func(ca ssh.PublicKey) bool { return bytes.Equal(ca.Marshal(), c.SignatureKey.Marshal()) })
	switch {
	case !ours:
		return errors.New("by no authority of this lab")
	case c.CertType != ssh.UserCert:
		return errors.New("not a member's but a host's")
	case len(c.ValidPrincipals) == 0:
		return errors.New("names no login")
	case c.Signature == nil || !slices.Contains(signatures, c.Signature.Format):
		return errors.New("signed by a weak algorithm")
	}
	checker := ssh.CertChecker{SupportedCriticalOptions: []string{"source-address"}} // what else must be kept to is refused
	if !fresh {
		checker.Clock = midway(c)
	}
	return checker.CheckCert(c.ValidPrincipals[0], c)
}

// permitted is what a certificate leaves of what members may do.
func permitted(c *ssh.Certificate) (l masu.KeyLimits, err error) {
	lacks := func(name string) bool { _, has := c.Extensions[name]; return !has }
	l.NoPTY, l.NoForward, l.NoAgent = lacks("permit-pty"), lacks("permit-port-forwarding"), lacks("permit-agent-forwarding")
	list, has := c.CriticalOptions["source-address"]
	if !has {
		return l, nil
	}
	for a := range strings.SplitSeq(list, ",") {
		a = strings.TrimSpace(a)
		_, single := netip.ParseAddr(a)
		_, network := netip.ParsePrefix(a)
		if single != nil && network != nil {
			return l, fmt.Errorf("source-address %q is not understood", a)
		}
		l.From = append(l.From, a)
	}
	return l, nil
}
