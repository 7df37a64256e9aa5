package sshd

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

const (
	keyLinesMost = 1000
	leastRSA     = 2048
)

// ReadKeys reads an authorized_keys, and says which of its lines are refused
// and why. A line that asks for what the gateway does not keep to is refused
// as a whole: half of a restriction is none.
func ReadKeys(text []byte) (keys []masu.SSHKey, refused []error) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if n > keyLinesMost {
			return keys, append(refused, fmt.Errorf("line %d: only %d lines are read", n, keyLinesMost))
		}
		k, err := readKey(line)
		if err != nil {
			refused = append(refused, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, refused
}

var errNoKey = errors.New("no key that could be read")

func readKey(line []byte) (k masu.SSHKey, err error) {
	if bytes.ContainsAny(line, "\x00\r\n") {
		return k, errNoKey
	}
	pub, comment, options, rest, err := ssh.ParseAuthorizedKey(line)
	if err != nil || len(rest) > 0 {
		return k, errNoKey
	}
	if err := strong(pub); err != nil {
		return k, err
	}
	if k.Limits, err = limits(options); err != nil {
		return k, err
	}
	k.Fingerprint, k.Name = ssh.FingerprintSHA256(pub), strings.ToValidUTF8(comment, "�")
	k.Key = strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(pub)), "\n")
	return k, nil
}

// strong refuses keys that can be forged, and whatever is no plain key.
func strong(k ssh.PublicKey) error {
	switch k.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		if c, ok := k.(ssh.CryptoPublicKey); ok {
			if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() >= leastRSA {
				return nil
			}
		}
		return masu.E(masu.Invalid, "key_weak", fmt.Sprintf("RSA < %d", leastRSA))
	}
	return masu.E(masu.Invalid, "key_weak", k.Type())
}

// limits understands a line's options; one that is not understood, or not kept to, is an error.
func limits(options []string) (l masu.KeyLimits, err error) {
	for _, o := range options {
		name, value, has := strings.Cut(o, "=")
		if has {
			if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
				return l, fmt.Errorf("%s: the value is not in quotes", name)
			}
			value = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
		}
		switch name = strings.ToLower(name); {
		case name == "from" && has:
			l.From, err = addresses(value)
		case name == "expiry-time" && has:
			l.Until, err = expiry(value, l.Until)
		case has:
			err = fmt.Errorf("%s= is not kept to here", name)
		default:
			err = restrict(&l, name)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// restrict takes an option without a value. What the gateway never allows
// anybody may be forbidden and allowed at will.
func restrict(l *masu.KeyLimits, name string) error {
	switch name {
	case "restrict":
		l.NoPTY, l.NoForward, l.NoAgent = true, true, true
	case "no-pty":
		l.NoPTY = true
	case "pty":
		l.NoPTY = false
	case "no-port-forwarding":
		l.NoForward = true
	case "port-forwarding":
		l.NoForward = false
	case "no-agent-forwarding":
		l.NoAgent = true
	case "agent-forwarding":
		l.NoAgent = false
	case "cert-authority":
		return errors.New("cert-authority: whose certificates let members in is the admin's to say (ssh.user_ca)")
	case "no-x11-forwarding", "x11-forwarding", "no-user-rc", "user-rc", "no-touch-required":
	default:
		return fmt.Errorf("%s is not kept to here", name)
	}
	return nil
}

// addresses are patterns of IP addresses and networks.
func addresses(value string) ([]string, error) {
	list := strings.Split(value, ",")
	for _, p := range list {
		p = strings.TrimPrefix(p, "!")
		if p == "" || strings.ContainsFunc(p, func(r rune) bool {
			return r != '.' && r != ':' && r != '*' && r != '?' && r != '/' && r != '-' && r != '_' &&
				(r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return nil, fmt.Errorf("from=%q is not understood", value)
		}
	}
	return list, nil
}

// expiry reads a time as sshd does: a day or a second, of the host's zone or with Z of UTC. The earliest counts.
func expiry(value string, earlier time.Time) (time.Time, error) {
	digits, utc := strings.CutSuffix(value, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(form, digits, zone); err == nil && len(digits) == len(form) {
			if earlier.IsZero() || t.Before(earlier) {
				return t, nil
			}
			return earlier, nil
		}
	}
	return time.Time{}, fmt.Errorf("expiry-time=%q is not understood", value)
}
