// Package remote reaches a lab on another machine through the member's own ssh,
// with its configuration, agent and jump hosts: one connection that many
// commands share, no port opened on the server, and at the far end the kernel's
// word about who it is.
package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// Server is a machine that ssh reaches.
type Server struct {
	User string // "" means whom ssh takes
	Host string // a name, an address, or an alias of ssh's own configuration
	Port int    // 0 means the one that ssh takes
}

// goodName tells whether a host or a user may stand in an address: neither can
// be taken for an option, and neither holds what a shell reads, for ssh puts both
// into a member's own ProxyCommand. No regular expression: masu starts for each
// connection at the far end too.
func goodName(s, also string, most int) bool {
	for i, r := range s {
		plain := r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !plain && (i == 0 || !strings.ContainsRune(also, r)) {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// Parse reads ssh://[USER@]HOST[:PORT]; anything else is Invalid "server_wrong".
func Parse(address string) (Server, error) {
	wrong := masu.E(masu.Invalid, "server_wrong", strconv.QuoteToGraphic(address))
	rest, ok := strings.CutPrefix(address, "ssh://")
	if !ok {
		return Server{}, wrong
	}
	var s Server
	rest = strings.TrimSuffix(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		if s.User, rest = rest[:i], rest[i+1:]; !goodName(s.User, ".-+@", 64) {
			return Server{}, wrong
		}
	}
	host, port, numbered := rest, "", false
	if after, ok := strings.CutPrefix(rest, "["); ok { // an IPv6 address
		host, port, ok = strings.Cut(after, "]")
		if a, err := netip.ParseAddr(host); !ok || err != nil || !a.Is6() || a.Zone() != "" {
			return Server{}, wrong
		}
		if port, numbered = strings.CutPrefix(port, ":"); !numbered && port != "" {
			return Server{}, wrong
		}
	} else if host, port, numbered = strings.Cut(rest, ":"); !goodName(host, ".-", 253) {
		return Server{}, wrong
	}
	s.Host = host
	if numbered {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Server{}, wrong
		}
		s.Port = int(n)
	}
	return s, nil
}

// String is the address as Parse reads it.
func (s Server) String() string {
	at := s.Host
	if strings.Contains(at, ":") {
		at = "[" + at + "]"
	}
	if s.User != "" {
		at = s.User + "@" + at
	}
	if s.Port != 0 {
		at += ":" + strconv.Itoa(s.Port)
	}
	return "ssh://" + at
}

// Command is how a person would go there with ssh.
func (s Server) Command() string {
	line := "ssh "
	if s.Port != 0 {
		line += "-p " + strconv.Itoa(s.Port) + " "
	}
	if s.User != "" {
		line += s.User + "@"
	}
	return line + s.Host
}

// args name the server to ssh; what follows is the command to run there.
func (s Server) args() []string {
	var args []string
	if s.Port != 0 {
		args = append(args, "-p", strconv.Itoa(s.Port))
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	return append(args, "--", s.Host)
}

// key is a short name for files that belong to this server.
func (s Server) key() string {
	sum := sha256.Sum256([]byte(s.String()))
	return hex.EncodeToString(sum[:6])
}
