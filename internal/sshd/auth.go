package sshd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"

	"github.com/masu-lab/masu"
)

// visitor is who came in, and how.
type visitor struct {
	masu.User
	pass
	limits    masu.KeyLimits
	workspace string // where it has been said otherwise than by ssh
}

// pass is what lets somebody in: it is asked about again and again.
type pass struct {
	fingerprint string // of the key; "" where the kernel has vouched
	key         string // itself, or its certificate, as it came
	uid         int
	user        masu.Username
	from        netip.Addr
}

type visitorKey struct{}

// signatures are the ways to prove a key that we take: none of them hashes by SHA-1.
var signatures = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// ciphers are what connections are encrypted with. A client takes the first of
// its own list that stands here, and OpenSSH's list begins with ChaCha20, which
// costs a processor that knows AES three times as much: then it stands not here.
func ciphers() []string {
	all := ssh.SupportedAlgorithms().Ciphers
	if aes := cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL; !aes {
		return all
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == ssh.CipherChaCha20Poly1305 })
}

// byKey lets in whoever proves that they hold a member's key, and nobody else.
func (s *Server) byKey(ctx context.Context, from netip.Addr) *ssh.ServerConfig {
	c := s.common()
	ask := func(meta ssh.ConnMetadata, k ssh.PublicKey, proven bool) (masu.User, masu.KeyLimits, string, error) {
		o, err := s.Trust.read(k, true)
		if err != nil {
			s.Log.Debug("ssh: a key refused", "from", from, "error", err)
			return masu.User{}, masu.KeyLimits{}, "", err
		}
		ctx, cancel := context.WithTimeout(ctx, graceTime) // whoever asks has gone by then
		defer cancel()
		u, limits, err := s.admits(ctx, o, masu.KeyOffer{Owner: owner(meta.User()), From: from, Proven: proven})
		return u, limits, o.fingerprint, err
	}
	c.PublicKeyCallback = func(meta ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		_, _, _, err := ask(meta, k, false)
		if masu.KindOf(err) == masu.Conflict && err != nil {
			err = nil // whose it is of several is told to who holds it
		}
		return nil, err
	}
	// Only here is it certain that the other half of the key is theirs.
	c.VerifiedPublicKeyCallback = func(meta ssh.ConnMetadata, k ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		u, limits, f, err := ask(meta, k, true)
		if err == nil {
			s.mu.Lock()
			if s.crowded(u.Name) {
				err = masu.E(masu.Full, "ssh_crowded", clientsMost)
			}
			s.mu.Unlock()
		}
		if k := masu.KindOf(err); err != nil && (k == masu.Conflict || k == masu.Full) {
			err = &ssh.BannerError{Err: err, Message: s.sentence(u.Lang, err) + "\n"}
		}
		if err != nil {
			return nil, err
		}
		return admitted(visitor{User: u, pass: pass{fingerprint: f, key: string(k.Marshal()), user: u.Name, from: from}, limits: limits}), nil
	}
	return c
}

// byKernel lets in one member, without a key.
func (s *Server) byKernel(u masu.User, name string) *ssh.ServerConfig {
	c := s.common()
	c.NoClientAuth = true
	c.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
		return admitted(visitor{User: u, pass: pass{uid: u.UID, user: u.Name}, workspace: name}), nil
	}
	return c
}

func (s *Server) common() *ssh.ServerConfig {
	c := &ssh.ServerConfig{Config: ssh.Config{Ciphers: ciphers()}, MaxAuthTries: authTries, PublicKeyAuthAlgorithms: signatures, ServerVersion: "SSH-2.0-masu"}
	c.AddHostKey(s.HostKey)
	if s.HostCert != nil {
		c.AddHostKey(s.HostCert)
	}
	return c
}

func admitted(v visitor) *ssh.Permissions {
	return &ssh.Permissions{ExtraData: map[any]any{visitorKey{}: v}}
}

// holds tells who a pass lets in now.
func (s *Server) holds(ctx context.Context, p pass) (masu.User, error) {
	if p.fingerprint == "" {
		return s.Gate.ByUID(ctx, p.uid)
	}
	k, err := ssh.ParsePublicKey([]byte(p.key))
	if err != nil {
		return masu.User{}, err
	}
	o, err := s.Trust.read(k, false)
	if errors.Is(err, errRevoked) {
		err = masu.E(masu.Denied, "signin_wrong").Because(err)
	}
	if err != nil { // a list with a mistake in it sends nobody away
		return masu.User{}, err
	}
	u, _, err := s.admits(ctx, o, masu.KeyOffer{Owner: p.user, From: p.from})
	return u, err
}

// admits asks the gate. What a certificate does not let its holder do, nothing else does.
func (s *Server) admits(ctx context.Context, o offered, q masu.KeyOffer) (masu.User, masu.KeyLimits, error) {
	q.Fingerprint, q.Principals = o.fingerprint, o.principals
	if o.principals == nil {
		return s.Gate.ByKey(ctx, q)
	}
	if !o.limits.Allow(q.From, time.Now()) {
		return masu.User{}, masu.KeyLimits{}, masu.E(masu.Denied, "signin_wrong")
	}
	u, _, err := s.Gate.ByKey(ctx, q)
	return u, o.limits, err
}

// owner is whose workspace a name means, where it says so.
func owner(name string) masu.Username {
	o, _, ok := strings.Cut(name, "/")
	if !ok {
		return ""
	}
	return masu.Username(o)
}

// addressOf is where a connection comes from; the zero one is let in by no rule about addresses.
func addressOf(conn net.Conn) netip.Addr { return addressPortOf(conn.RemoteAddr()).Addr() }
