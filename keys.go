package masu

import (
	"context"
	"net/netip"
	"path"
	"strings"
	"time"
)

// SSHKey is the public half of a key by which a member comes in over ssh: one
// that they added, or a line of their authorized_keys on the host.
type SSHKey struct {
	Fingerprint string    `json:"fingerprint"` // "SHA256:…", as ssh-keygen -l tells it
	Key         string    `json:"key"`         // "ssh-ed25519 AAAA…", without its comment
	User        Username  `json:"user"`
	Name        string    `json:"name,omitempty"` // its comment
	At          time.Time `json:"at,omitzero"`
	UsedAt      time.Time `json:"used_at,omitzero"` // to the hour
	File        bool      `json:"file,omitempty"`   // it stands in authorized_keys, and is removed there
	Limits      KeyLimits `json:"limits,omitzero"`
}

// KeyLimits is what the options of a line of authorized_keys take away.
type KeyLimits struct {
	NoPTY     bool      `json:"no_pty,omitempty"`
	NoForward bool      `json:"no_forward,omitempty"`
	NoAgent   bool      `json:"no_agent,omitempty"`
	From      []string  `json:"from,omitempty"` // addresses, networks and patterns, as sshd(8) has them; none is everywhere
	Until     time.Time `json:"until,omitzero"` // zero: for good
}

// Allow tells whether the key may be used from that address at that time. Names
// of hosts fit no address: whoever answers for a network's names would decide.
func (l KeyLimits) Allow(from netip.Addr, at time.Time) bool {
	if !l.Until.IsZero() && !at.Before(l.Until) {
		return false
	}
	allowed := len(l.From) == 0
	for _, pattern := range l.From {
		not := strings.HasPrefix(pattern, "!")
		if !fits(strings.TrimPrefix(pattern, "!"), from.Unmap()) {
			continue
		}
		if not {
			return false
		}
		allowed = true
	}
	return allowed
}

func fits(pattern string, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if p, err := netip.ParsePrefix(pattern); err == nil {
		return p.Contains(a)
	}
	ok, err := path.Match(pattern, a.String())
	return err == nil && ok
}

// KeyOffer is a key that somebody at the ssh gateway offers.
type KeyOffer struct {
	Fingerprint string
	Owner       Username   // whose workspace they ask for; "" where they don't say
	From        netip.Addr // where they are
	Proven      bool       // they have shown that they hold its other half

	// Principals are the logins that a certificate of the lab's authority says the
	// key is: what members have added or written down does not count then.
	Principals []Username
}

// SSHKeys is the part of Service about the actor's own keys.
type SSHKeys interface {
	// Keys lists them, those of authorized_keys last.
	Keys(ctx context.Context) ([]SSHKey, error)
	// AddKey takes a line such as ~/.ssh/id_ed25519.pub holds; name is instead of its comment.
	// Invalid "key_wrong" (why), "key_weak"; Full "keys_full". Another may have added it too.
	AddKey(ctx context.Context, line, name string) (SSHKey, error)
	// RemoveKey ends what was begun with it within seconds; NotFound "no_key", Conflict "key_in_file".
	RemoveKey(ctx context.Context, fingerprint string) error
}

// SSHDoor is where the ssh gateway is, for people.
type SSHDoor struct {
	Host        string `json:"host,omitempty"` // "" where no port is open
	Port        int    `json:"port,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the gateway's own key
	Key         string `json:"key,omitempty"`         // its public half: "ssh-ed25519 AAAA…"
}
